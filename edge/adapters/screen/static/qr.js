// Draws the rows of a QR code that the kiosk made: dark on white whatever the colours around it.

const SVG = "http://www.w3.org/2000/svg";

export function drawQr(svg, rows) {
  const side = rows.length;
  const dark = [];
  rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) dark.push(`M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`);
  });
  svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
  const ground = document.createElementNS(SVG, "rect");
  ground.setAttribute("width", side);
  ground.setAttribute("height", side);
  ground.setAttribute("class", "ground");
  const code = document.createElementNS(SVG, "path");
  code.setAttribute("d", dark.join(""));
  code.setAttribute("class", "dark");
  svg.replaceChildren(ground, code);
}
