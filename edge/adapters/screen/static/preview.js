// The live picture: asked for one at a time, painted as in a mirror, and wiped when no more come.

const RETRY_FIRST_MS = 1000;
const RETRY_LAST_MS = 30000;
// Whoever was in a picture this old may have left.
const STALE_MS = 1500;

export function openPreview({ canvas, shown }) {
  const pen = canvas.getContext("2d", { alpha: false });
  let wanted = false;
  let socket = null;
  let retryMs = RETRY_FIRST_MS;
  let retry = 0;
  let stale = 0;

  function connect() {
    clearTimeout(retry);
    if (!wanted || document.hidden || socket !== null) return;
    const mine = new WebSocket(`ws://${location.host}/preview`);
    mine.binaryType = "blob";
    socket = mine;
    mine.onopen = () => mine.send("ready");
    mine.onmessage = (event) => paint(mine, event.data);
    mine.onclose = () => {
      if (socket !== mine) return;
      leave();
      retry = setTimeout(connect, retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
    };
  }

  function leave() {
    clearTimeout(retry);
    const mine = socket;
    socket = null;
    if (mine !== null) {
      mine.onopen = mine.onmessage = mine.onclose = null;
      mine.close();
    }
    wipe();
  }

  function wipe() {
    clearTimeout(stale);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillRect(0, 0, canvas.width, canvas.height);
    shown(false);
  }

  async function paint(mine, jpeg) {
    const picture = await createImageBitmap(jpeg);
    if (socket !== mine) return picture.close();
    retryMs = RETRY_FIRST_MS;
    requestAnimationFrame(() => {
      if (socket === mine) {
        if (canvas.width !== picture.width) canvas.width = picture.width;
        if (canvas.height !== picture.height) canvas.height = picture.height;
        // As in a mirror: people move the right way by themselves.
        pen.setTransform(-1, 0, 0, 1, picture.width, 0);
        pen.drawImage(picture, 0, 0);
        shown(true);
        clearTimeout(stale);
        stale = setTimeout(wipe, STALE_MS);
        // Said once the browser has painted it, so that none waits in the line meanwhile.
        setTimeout(() => mine.readyState === WebSocket.OPEN && mine.send("painted"));
      }
      picture.close();
    });
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : connect()));
  return {
    want(yes) {
      if (yes === wanted) return;
      wanted = yes;
      if (yes) connect();
      else leave();
    },
  };
}
