// The line to the kiosk: reconnects by itself, and knows when the other end has gone quiet.

// The kiosk sends its state at least every 2 s (HEARTBEAT_S in app.py): three missed ones are a lost kiosk.
const SILENCE_MS = 6000;
const WATCH_EVERY_MS = 500;
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 2000;

export function openLink({ heard, lost }) {
  let socket = null;
  let heardAt = 0;
  let retryMs = RETRY_FIRST_MS;

  function connect() {
    heardAt = performance.now();
    const mine = new WebSocket(`ws://${location.host}/live`);
    socket = mine;
    mine.onmessage = (event) => {
      heardAt = performance.now();
      retryMs = RETRY_FIRST_MS;
      heard(JSON.parse(event.data));
    };
    mine.onclose = () => drop(mine);
  }

  function drop(mine) {
    if (socket !== mine) return;
    socket = null;
    mine.onmessage = mine.onclose = null;
    mine.close();
    lost();
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
  }

  setInterval(() => {
    if (socket !== null && performance.now() - heardAt > SILENCE_MS) drop(socket);
  }, WATCH_EVERY_MS);

  connect();
  return {
    // True if the touch was handed to an open line; the kiosk's answer comes to `heard`.
    send(touch) {
      if (socket === null || socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(touch));
      return true;
    },
  };
}
