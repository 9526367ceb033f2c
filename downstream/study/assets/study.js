"use strict";

// One trial: its images are fetched, decoded and drawn while hidden. They are shown when the participant is ready, from one
// animation frame to another, and then masked. The answer is stored before the next trial is sent.

const part = (name) => document.getElementById(name);
const exposure = Number(document.body.dataset.exposure); // milliseconds
const kind = part("trial").dataset.kind;
const stage = part("stage");
const NAMES = { psychophysical: null, turing: ["Left", "Right"], realism: ["Real", "Computer"] };
const WARM_UP_FRAMES = 4, MASK_BLOCKS = 32;

let trial = null; // as the server described it
let phase = "idle"; // idle, ready, beginning, shown, choosing, sending
let measured = null;
let code = "";
let masked = 0; // the time when the images were hidden
let abort = null; // a function that hides the images at once

function show(section) {
  for (const each of document.querySelectorAll("main > section")) each.hidden = each.id !== section;
}

function say(text) {
  for (const note of [part("note"), part("welcome-note")]) if (note.textContent !== text) note.textContent = text;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Ask the server, and repeat this while it cannot be reached: no answer gets lost.
async function ask(method, path, body) {
  for (let attempt = 0; ; attempt += 1) {
    const request = { method, credentials: "same-origin" };
    if (body !== undefined) {
      request.headers = { "Content-Type": "application/json" };
      request.body = JSON.stringify(body);
    }
    try {
      const response = await fetch(path, request);
      if (response.status !== 429 && response.status < 500) {
        const content = await response.json();
        say("");
        return { status: response.status, content };
      }
    } catch {
      // not reached: the participant is told below
    }
    say("The server cannot be reached. Trying again …");
    await pause(Math.min(5000, 250 * 2 ** attempt));
  }
}

async function load() {
  phase = "idle";
  const { status, content } = await ask("GET", "/trial");
  if (status === 200) {
    code = content.code;
    part("mine").textContent = code.match(/.{1,4}/g).join("-");
    await prepare(content);
  } else {
    show("welcome");
    part("welcome-note").textContent = status === 401 ? "" : "You need the link that was sent to you.";
  }
}

async function prepare(next) {
  if (next.done) {
    show("done");
    return;
  }
  trial = next;
  phase = "idle";
  part("count").textContent = `Round ${trial.place + 1} of ${trial.of}`;
  part("progress").max = trial.of;
  part("progress").value = trial.place;
  part("trial").dataset.place = String(trial.place);
  lay_out(trial.images);
  show("trial");
  const numbers = [...Array(trial.images).keys()];
  let images;
  try {
    images = await Promise.all(numbers.map(async (number) => {
      const image = new Image();
      image.src = `/image/${trial.trial}/${number}`;
      await image.decode();
      return image;
    }));
  } catch {
    say("An image could not be loaded. Trying again …");
    await pause(1000);
    await load();
    return;
  }
  numbers.forEach((number) => draw(stage.children[number], images[number]));
  phase = "ready";
  part("ready").disabled = false;
  part("ready").focus({ preventScroll: true });
}

// Make empty cells for the images, and a button for each choice.
function lay_out(count) {
  const names = NAMES[kind] ?? [...Array(count).keys()].map((number) => String(number + 1));
  stage.dataset.phase = "wait";
  stage.dataset.cells = String(count);
  part("choices").dataset.cells = String(names.length);
  stage.replaceChildren(...[...Array(count).keys()].map((number) => {
    const cell = document.createElement("div");
    cell.className = "cell";
    for (const layer of ["picture", "mask"]) {
      const canvas = document.createElement("canvas");
      canvas.className = layer;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", layer === "mask" ? "Noise" : `Image ${number + 1}`);
      cell.append(canvas);
    }
    if (count > 1) cell.addEventListener("click", () => choose(number));
    return cell;
  }));
  part("choices").replaceChildren(...names.map((name, number) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.disabled = true;
    button.addEventListener("click", () => choose(number));
    return button;
  }));
  part("ready").disabled = true;
}

function draw(cell, image) {
  const [picture, mask] = cell.children;
  for (const canvas of [picture, mask]) {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
  }
  picture.getContext("2d").drawImage(image, 0, 0);
  const pen = mask.getContext("2d");
  const side = Math.max(1, Math.ceil(mask.width / MASK_BLOCKS));
  for (let y = 0; y < mask.height; y += side) {
    for (let x = 0; x < mask.width; x += side) {
      const [red, green, blue] = [0, 0, 0].map(() => Math.floor(256 * Math.random()));
      pen.fillStyle = `rgb(${red} ${green} ${blue})`;
      pen.fillRect(x, y, side, side);
    }
  }
}

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

async function expose() {
  if (phase !== "ready") return;
  phase = "beginning";
  part("ready").disabled = true;
  let hidden = document.hidden;
  let start = null;
  const hiding = new Promise((resolve) => {
    abort = () => {
      hidden = true;
      stage.dataset.phase = "masked"; // at once, because a hidden page gets no frames
      resolve(performance.now());
    };
  });
  const { status } = await ask("POST", "/begin", { trial: trial.trial });
  if (status !== 200) {
    abort = null;
    await load();
    return;
  }
  phase = "shown";
  const spans = [];
  const shown = (async () => {
    // measure the length of some frames first, which also lets the page settle
    let before = await frame();
    for (let number = 0; number < WARM_UP_FRAMES; number += 1) {
      const now = await frame();
      spans.push(now - before);
      before = now;
    }
    if (hidden) return before;
    const half = median(spans) / 2;
    spans.length = 0;
    stage.dataset.phase = "shown"; // painted with this frame
    start = before;
    while (before - start < exposure - half && !hidden) {
      const now = await frame();
      spans.push(now - before);
      before = now;
    }
    stage.dataset.phase = "masked"; // painted with that frame
    return before;
  })();
  const end = await Promise.race([shown, hiding]);
  abort = null;
  measured = { exposure: start === null ? 0 : Math.max(0, end - start), frame: median(spans), hidden };
  masked = performance.now();
  phase = "choosing";
  for (const button of part("choices").children) button.disabled = false;
  part("choices").focus({ preventScroll: true }); // Tab goes to the choices from here; none of them is selected
}

async function choose(number) {
  if (phase !== "choosing") return;
  phase = "sending";
  for (const button of part("choices").children) button.disabled = true;
  const response = performance.now() - masked;
  const body = { trial: trial.trial, choice: number, ...measured, response };
  const { status, content } = await ask("POST", "/answer", body);
  if (status === 200) await prepare(content);
  else await load(); // answered elsewhere, or stored although the reply was lost
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && abort) abort();
});

document.addEventListener("keydown", (event) => {
  if (part("trial").hidden || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const count = part("choices").children.length;
  const digit = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
  const choice = { ArrowLeft: 0, ArrowRight: count - 1 }[event.key] ?? digit;
  if (event.key === " " && phase === "ready" && document.activeElement !== part("stop")) {
    event.preventDefault();
    expose();
  } else if (phase === "choosing" && choice >= 0 && choice < count) {
    event.preventDefault();
    choose(choice);
  }
});

part("ready").addEventListener("click", expose);

part("consent").addEventListener("change", () => {
  part("start").disabled = !part("consent").checked;
});

part("start").addEventListener("click", async () => {
  part("start").disabled = true;
  const { status, content } = await ask("POST", "/join", { consent: part("consent").checked });
  if (status === 200) await load();
  else part("welcome-note").textContent = `That did not work: ${content.refused}.`;
});

part("resume").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { status } = await ask("POST", "/resume", { code: part("code").value });
  if (status === 200) await load();
  else part("welcome-note").textContent = "There is no such code. Please check it.";
});

part("stop").addEventListener("click", async () => {
  if (phase !== "ready" && phase !== "choosing") return;
  phase = "idle";
  await ask("POST", "/leave", {});
  part("kept").textContent = code.match(/.{1,4}/g).join("-");
  show("stopped");
});

part("back").addEventListener("click", () => {
  part("consent").checked = false;
  part("start").disabled = true;
  show("welcome");
});

load();
