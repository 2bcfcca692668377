-- wrk's script: send pre-signed requests in turn, and tell the figures as one line of JSON.
local requests = {}

function init(arguments)
   local prepared = dofile(arguments[1])
   for number, each in ipairs(prepared) do
      local headers = {["Content-Type"] = "application/json", ["Stripe-Signature"] = each[1]}
      requests[number] = wrk.format("POST", "/webhooks/stripe", headers, each[2])
   end
end

local number = 0
function request()
   number = number % #requests + 1
   return requests[number]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\nFIGURES {"requests": %d, "duration_s": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
