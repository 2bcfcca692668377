// Way B: the page makes the payment method on the connected account, the server attaches it to a customer there.
import { ask, card, onSubmit, stripe } from "./form.js";

onSubmit(async (buyer) => {
  const { paymentMethod, error } = await stripe.createPaymentMethod({
    type: "card",
    card,
    billing_details: buyer,
  });
  if (error) throw new Error(error.message);
  await ask("/methods", { payment_method: paymentMethod.id, ...buyer });
  return "Your card is saved.";
});
