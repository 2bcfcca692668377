// A FAKE. This is not Stripe.js: it is a stand-in for the few calls that this example makes of it, and it talks to
// the Stripe emulator that `?api=` of its own address names. Its card fields are plain inputs of this page, which
// Stripe.js exists to avoid. Never type a real card number into it.

(() => {
  const api = new URL(document.currentScript.src).searchParams.get("api");

  window.Stripe = (publishableKey, { stripeAccount }) => {
    // As Stripe.js does: a form, with the key and the account in it, so that the browser asks no permission first.
    async function call(path, parameters) {
      const form = new URLSearchParams({ key: publishableKey, _stripe_account: stripeAccount, ...parameters });
      const answer = await fetch(`${api}/v1/${path}`, { method: "POST", body: form });
      const body = await answer.json();
      return answer.ok ? { made: body } : { error: body.error };
    }

    async function createPaymentMethod({ type, card, billing_details: billing }) {
      const { made, error } = await call("payment_methods", {
        type,
        ...card.read(),
        "billing_details[name]": billing.name,
        "billing_details[email]": billing.email,
      });
      return error ? { error } : { paymentMethod: made };
    }

    async function confirmCardPayment(clientSecret, { payment_method: method }) {
      const { paymentMethod, error } = await createPaymentMethod({ type: "card", ...method });
      if (error) return { error };
      const [intent] = clientSecret.split("_secret_");
      const { made, error: refused } = await call(`payment_intents/${intent}/confirm`, {
        client_secret: clientSecret,
        payment_method: paymentMethod.id,
      });
      if (refused) return { error: refused };
      if (made.status === "requires_action") {
        return { error: { message: "This card wants 3D Secure, which the stand-in for Stripe.js does not have." } };
      }
      return { paymentIntent: made };
    }

    return { confirmCardPayment, createPaymentMethod, elements: () => ({ create: cardElement }) };
  };

  function cardElement() {
    const box = document.createElement("fieldset");
    box.className = "stand-in";
    box.innerHTML = `
      <legend>Not Stripe.js</legend>
      <p>A stand-in for Stripe.js that talks to an emulator. Test cards only.</p>
      <label>Card number <input data-field="number" inputmode="numeric"></label>
      <label>Month <input data-field="exp_month" inputmode="numeric"></label>
      <label>Year <input data-field="exp_year" inputmode="numeric"></label>
      <label>Security code <input data-field="cvc" inputmode="numeric"></label>`;
    return {
      mount: (selector) => document.querySelector(selector).append(box),
      read: () =>
        Object.fromEntries(
          [...box.querySelectorAll("input")].map((input) => [`card[${input.dataset.field}]`, input.value]),
        ),
    };
  }
})();
