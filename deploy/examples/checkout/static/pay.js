// Way A: the server opens the payment on the connected account, the page confirms it there.
import { ask, card, onSubmit, stripe } from "./form.js";

let opened; // one payment for the order, also when a second card is tried

onSubmit(async (buyer) => {
  opened ??= await ask("/payments", { order: document.body.dataset.order, ...buyer });
  const { paymentIntent, error } = await stripe.confirmCardPayment(opened.client_secret, {
    payment_method: { card, billing_details: buyer },
  });
  if (error) throw new Error(error.message);
  return `Paid: ${paymentIntent.status}. Your card is saved.`;
});
