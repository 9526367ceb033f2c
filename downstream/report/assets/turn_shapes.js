// Clouds and surfaces on canvases, which readers turn with the mouse, a finger or the arrow keys.
// Browsers allow few WebGL canvases, so one hidden canvas draws all shapes, and each image is copied to its own canvas.
// Without WebGL only the points are drawn.
(() => {
  "use strict";
  const canvases = [...document.querySelectorAll(".shape canvas")];
  if (!canvases.length) return;
  const START = { yaw: -0.96, pitch: 0.38, zoom: 1 };
  const REACH = 1.1; // as in turnable_shapes.py
  const views = new Map(); // group -> its yaw, pitch and zoom
  const gl = document.createElement("canvas").getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
  const vertex = `
    attribute vec3 position; attribute vec3 normal; uniform mat4 matrix; uniform float size; varying vec3 lit; varying float depth;
    void main() { gl_Position = matrix * vec4(position, 1.0); gl_PointSize = size; depth = gl_Position.z; lit = mat3(matrix) * normal; }`;
  const fragment = `
    precision mediump float; varying vec3 lit; varying float depth; uniform vec3 colour; uniform float surface;
    void main() {
      float light = 0.5 + 0.65 * abs(dot(normalize(lit + 1e-6), normalize(vec3(-0.35, 0.5, -0.8))));
      float near = 0.55 + 0.45 * clamp(0.5 - depth, 0.0, 1.0);
      gl_FragColor = vec4(colour * mix(near, light, surface), 1.0);
    }`;
  const program = gl && window.twgl.createProgramInfo(gl, [vertex, fragment]);

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  function normalsOf(points, faces) {
    const normals = new Float32Array(points.length);
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [3 * faces[i], 3 * faces[i + 1], 3 * faces[i + 2]];
      const u = [0, 1, 2].map((k) => points[b + k] - points[a + k]);
      const v = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
    }
    return normals;
  }

  function unpack(canvas) {
    const packed = JSON.parse(canvas.nextElementSibling.textContent);
    const points = Float32Array.from(new Int16Array(bytesOf(packed.points)), (value) => (value / 32767) * REACH);
    const shape = { points, surface: "faces" in packed };
    let arrays = { position: points, normal: new Float32Array(points.length) };
    if (shape.surface) {
      const faces = new (packed.bytes === 2 ? Uint16Array : Uint32Array)(bytesOf(packed.faces));
      arrays = { position: points, normal: normalsOf(points, faces), indices: faces };
      if (gl && packed.bytes === 4) gl.getExtension("OES_element_index_uint");
    }
    if (gl) shape.buffers = window.twgl.createBufferInfoFromArrays(gl, arrays);
    return shape;
  }

  // +z of the object points up on the screen; columns of a 4 x 4 matrix
  function matrixOf({ yaw, pitch, zoom }) {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const right = [-sy, cy, 0], up = [-sp * cy, -sp * sy, cp], away = [-cp * cy, -cp * sy, -sp];
    const s = zoom / 1.03;
    const matrix = [];
    for (let k = 0; k < 3; k++) matrix.push(s * right[k], s * up[k], 0.4 * away[k], 0);
    return [...matrix, 0, 0, 0, 1];
  }

  function colourOf(canvas) {
    const [r, g, b] = getComputedStyle(canvas).color.match(/[\d.]+/g).map(Number);
    return [r / 255, g / 255, b / 255];
  }

  function drawPoints(canvas, shape, matrix) {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = getComputedStyle(canvas).color;
    for (let i = 0; i < shape.points.length; i += 3) {
      const [x, y, z] = shape.points.subarray(i, i + 3);
      const across = matrix[0] * x + matrix[4] * y + matrix[8] * z, along = matrix[1] * x + matrix[5] * y + matrix[9] * z;
      pen.fillRect(((across + 1) / 2) * canvas.width, ((1 - along) / 2) * canvas.height, 2, 2);
    }
  }

  function draw(canvas) {
    if (!canvas.shape) return;
    const matrix = matrixOf(views.get(canvas.dataset.group));
    if (!gl || gl.isContextLost()) return drawPoints(canvas, canvas.shape, matrix);
    gl.canvas.width = canvas.width;
    gl.canvas.height = canvas.height;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(program.program);
    window.twgl.setBuffersAndAttributes(gl, program, canvas.shape.buffers);
    const surface = canvas.shape.surface;
    window.twgl.setUniforms(program, { matrix, colour: colourOf(canvas), surface: surface ? 1 : 0, size: canvas.width / 100 });
    window.twgl.drawBufferInfo(gl, canvas.shape.buffers, surface ? gl.TRIANGLES : gl.POINTS);
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(gl.canvas, 0, 0);
  }

  const waiting = new Set();
  function drawGroup(group) {
    if (!waiting.size) requestAnimationFrame(() => {
      for (const canvas of canvases) if (waiting.has(canvas.dataset.group)) draw(canvas);
      waiting.clear();
    });
    waiting.add(group);
  }

  function turn(group, yaw, pitch, zoom = 1) {
    const view = views.get(group);
    view.yaw -= yaw;
    view.pitch = Math.min(Math.max(view.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    view.zoom = Math.min(Math.max(view.zoom * zoom, 0.4), 5);
    drawGroup(group);
  }

  const STEP = Math.PI / 18;
  const KEYS = {
    ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
    "+": [0, 0, 1.15], "=": [0, 0, 1.15], "-": [0, 0, 1 / 1.15],
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || target.shape) continue;
      target.shape = unpack(target);
      draw(target);
    }
  }, { rootMargin: "200px" });

  for (const canvas of canvases) {
    const group = canvas.dataset.group;
    if (!views.has(group)) views.set(group, { ...START });
    let last = null; // the last position of the pointer: not every browser reports how far a finger has moved
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last || !canvas.hasPointerCapture(event.pointerId)) return;
      turn(group, (event.clientX - last[0]) * 0.012, (event.clientY - last[1]) * 0.012);
      last = [event.clientX, event.clientY];
    });
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // else the page could not be scrolled past it
      event.preventDefault();
      turn(group, 0, 0, event.deltaY < 0 ? 1.1 : 1 / 1.1);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Home") Object.assign(views.get(group), START), drawGroup(group);
      else if (event.key in KEYS) turn(group, ...KEYS[event.key]);
      else return;
      event.preventDefault();
    });
    seen.observe(canvas);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => canvases.forEach(draw));
})();
