// Paying: three equal ways to agree, and what is offered once it is over.

const WAYS = ["button", "smile", "nod"];

export const PAY_CHOICES = {
  agree: (display, say) =>
    WAYS.map((by) => ({
      id: by,
      icon: `by_${by}`,
      label: say.page[`by_${by}`],
      detail: by !== "button" && display.agree_by === by ? say.page.by_watched : "",
      pressed: by === "button" ? undefined : display.agree_by === by,
      touch: by === "button" ? { touch: "agree" } : { touch: "agree_by", by },
    })),
  paid: done,
  not_charged: done,
};

export function done(display, say) {
  return [{ id: "done", label: say.page.done, touch: { touch: "finished" } }];
}
