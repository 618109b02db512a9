// This page as the kiosk's camera, or as the sign that it is seen; a page that nobody sees films nothing.

const RETRY_MS = 2000;
// Of 1: a code held up is read as well as from a picture that was never compressed.
const QUALITY = 0.85;

let socket = null;
let wanted = null;
let stream = null;
// The kiosk asked for a picture that it does not have yet.
let owed = false;
let retry = 0;

const video = document.createElement("video");
video.muted = video.playsInline = true;
const canvas = document.createElement("canvas");
const pen = canvas.getContext("2d", { alpha: false });

function connect() {
  clearTimeout(retry);
  if (document.hidden || socket !== null) return;
  const mine = new WebSocket(`ws://${location.host}/camera`);
  socket = mine;
  mine.onmessage = (event) => heard(mine, JSON.parse(event.data));
  mine.onclose = () => {
    if (socket !== mine) return;
    leave();
    retry = setTimeout(connect, RETRY_MS);
  };
}

function heard(mine, message) {
  if (socket !== mine) return;
  owed = true;
  if (message.kind !== "wanted") return;
  wanted = message;
  if (wanted.frames) start();
  else say("front");
}

// The light of the camera goes out with the page.
function leave() {
  clearTimeout(retry);
  const mine = socket;
  socket = wanted = null;
  owed = false;
  if (mine !== null) {
    mine.onmessage = mine.onclose = null;
    mine.close();
  }
  stop();
}

function stop() {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
  stream = video.srcObject = null;
}

function say(word) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ camera: word }));
}

async function start() {
  clearTimeout(retry);
  const asked = wanted;
  if (asked === null || !asked.frames || stream !== null) return;
  let found = null;
  try {
    found = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: asked.width_px }, height: { ideal: asked.height_px }, frameRate: { ideal: asked.fps }, facingMode: "user" },
    });
  } catch (error) {
    return failed(error.name === "NotAllowedError" || error.name === "SecurityError" ? "refused" : "unplugged");
  }
  if (wanted !== asked) {
    for (const track of found.getTracks()) track.stop();
    return;
  }
  stream = found;
  for (const track of stream.getTracks()) {
    track.onended = () => {
      stop();
      failed("unplugged");
    };
  }
  video.srcObject = stream;
  await video.play().catch(() => {});
  follow(stream);
}

function failed(word) {
  say(word);
  // Who said no is not asked again and again: a touch, or the browser's own switch, begins anew.
  if (word !== "refused") retry = setTimeout(start, RETRY_MS);
}

function follow(mine) {
  if (stream !== mine) return;
  const next = () => {
    send();
    follow(mine);
  };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next);
  else setTimeout(next, 1000 / wanted.fps);
}

function send() {
  const mine = socket;
  if (!owed || mine?.readyState !== WebSocket.OPEN || video.videoWidth === 0) return;
  owed = false;
  const most = wanted.width_px * wanted.height_px;
  const scale = Math.min(1, Math.sqrt(most / (video.videoWidth * video.videoHeight)));
  canvas.width = Math.floor(video.videoWidth * scale);
  canvas.height = Math.floor(video.videoHeight * scale);
  pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  canvas.toBlob(
    (picture) => {
      if (socket !== mine) return;
      if (picture !== null && picture.size <= wanted.max_bytes) mine.send(picture);
      else owed = true;
    },
    "image/jpeg",
    QUALITY,
  );
}

document.addEventListener("visibilitychange", () => (document.hidden ? leave() : connect()));
addEventListener("pagehide", leave);
addEventListener("pageshow", connect);
addEventListener("focus", () => say("front"));
document.addEventListener("pointerdown", start);
navigator.mediaDevices?.addEventListener?.("devicechange", start);
navigator.permissions
  ?.query({ name: "camera" })
  .then((permission) => permission.addEventListener("change", start))
  .catch(() => {});
connect();
