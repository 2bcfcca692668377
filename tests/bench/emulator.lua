-- wrk's script: calls of the API in turn, writes each under an idempotency key of its own; figures as JSON.
local calls = {}
local prefix

function init(arguments)
   calls = dofile(arguments[1])
   prefix = arguments[2] .. "-"
end

local number = 0
function request()
   number = number + 1
   local call = calls[(number - 1) % #calls + 1]
   local headers = {["Authorization"] = "Bearer " .. call.key, ["Stripe-Account"] = call.account}
   if call.method == "POST" then
      headers["Content-Type"] = "application/x-www-form-urlencoded"
      headers["Idempotency-Key"] = prefix .. number
   end
   return wrk.format(call.method, call.path, headers, call.body)
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nFIGURES {"requests": %d, "duration_s": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
