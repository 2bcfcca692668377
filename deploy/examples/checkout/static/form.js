// What both pages have in common: the card field on the connected account, the form, the way to the server.

const { publishableKey, connectedAccount } = document.body.dataset;

/** Stripe.js, on the connected account: what it makes belongs there. */
export const stripe = Stripe(publishableKey, { stripeAccount: connectedAccount });

export const card = stripe.elements().create("card");
card.mount("#card");

/** Run `act` with the buyer on each submission, and show what it returns or why it failed. */
export function onSubmit(act) {
  const form = document.querySelector("#checkout");
  const result = document.querySelector("#result");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    result.textContent = "One moment …";
    try {
      result.textContent = await act({ name: form.elements.name.value, email: form.elements.email.value });
    } catch (error) {
      result.textContent = error.message;
      button.disabled = false;
    }
  });
}

/** Ask the server; what it refuses is thrown, in words for the buyer. */
export async function ask(path, said) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(said),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}
