// Built from clients/ohif by `npm run build`: change the sources there, not this file.
"use strict";
(() => {
  // src/volumes/grid.ts
  var AXES = [0, 1, 2];
  function at(values, index) {
    const value = values[index];
    if (value === void 0) {
      throw new RangeError(`index ${index} of ${values.length} numbers`);
    }
    return value;
  }
  function triple(values) {
    return [at(values, 0), at(values, 1), at(values, 2)];
  }
  function gridOf(volume) {
    const row = (world) => {
      const sign = world === 2 ? 1 : -1;
      const along3 = AXES.map((axis) => sign * at(volume.direction, 3 * axis + world) * at(volume.spacing, axis));
      return [...along3, sign * at(volume.origin, world)];
    };
    return { shape: triple(volume.dimensions), affine: [row(0), row(1), row(2)] };
  }
  function inverted(affine) {
    const m = (row2, column) => at(affine[row2], column);
    const cofactor = (row2, column) => {
      const [a, b] = [(row2 + 1) % 3, (row2 + 2) % 3];
      const [c, d] = [(column + 1) % 3, (column + 2) % 3];
      return m(a, c) * m(b, d) - m(a, d) * m(b, c);
    };
    const determinant = AXES.reduce((sum, column) => sum + m(0, column) * cofactor(0, column), 0);
    if (Math.abs(determinant) < 1e-12) {
      throw new Error("the axes of the volume do not span the space");
    }
    const row = (index) => {
      const linear = AXES.map((column) => cofactor(column, index) / determinant);
      const shift = -AXES.reduce((sum, column) => sum + at(linear, column) * m(column, 3), 0);
      return [...linear, shift];
    };
    return [row(0), row(1), row(2)];
  }
  function applied(affine, point) {
    const one = (row) => at(row, 0) * at(point, 0) + at(row, 1) * at(point, 1) + at(row, 2) * at(point, 2) + at(row, 3);
    return [one(affine[0]), one(affine[1]), one(affine[2])];
  }
  var SAME_VOXEL = 0.05;
  function placesIn(source, target) {
    const back = inverted(source.affine);
    const corner = applied(back, applied(target.affine, [0, 0, 0]));
    const strides = [1, source.shape[0], source.shape[0] * source.shape[1]];
    const steps = AXES.map((axis) => {
      const unit = AXES.map((other) => other === axis ? 1 : 0);
      const next = applied(back, applied(target.affine, unit));
      const moved = AXES.map((other) => at(next, other) - at(corner, other));
      const rounded = moved.map(Math.round);
      const far = (target.shape[axis] - 1) * Math.max(...AXES.map((i) => Math.abs(at(moved, i) - at(rounded, i))));
      const along3 = AXES.filter((other) => rounded[other] !== 0);
      const [first] = along3;
      if (far > SAME_VOXEL || along3.length !== 1 || first === void 0 || Math.abs(at(rounded, first)) !== 1) {
        throw new Error("the mask has not the voxels of the image");
      }
      if (source.shape[first] !== target.shape[axis]) {
        throw new Error(`the mask has ${source.shape.join("×")} voxels, the image ${target.shape.join("×")}`);
      }
      return at(rounded, first) * strides[first];
    });
    const start = AXES.reduce((sum, axis) => {
      const index = Math.round(corner[axis]);
      if (Math.abs(corner[axis] - index) > SAME_VOXEL || index < 0 || index >= source.shape[axis]) {
        throw new Error("the mask does not lie on the image");
      }
      return sum + index * strides[axis];
    }, 0);
    return { start, steps: triple(steps) };
  }
  function reordered(values, source, target) {
    const { start, steps } = placesIn(source, target);
    const [width, height, depth] = target.shape;
    const result = new values.constructor(width * height * depth);
    let place = 0;
    for (let k = 0; k < depth; k++) {
      for (let j = 0; j < height; j++) {
        let from = start + j * steps[1] + k * steps[2];
        if (steps[0] === 1) {
          result.set(values.subarray(from, from + width), place);
          place += width;
          continue;
        }
        for (let i = 0; i < width; i++, from += steps[0]) {
          result[place++] = values[from] ?? 0;
        }
      }
    }
    return result;
  }

  // src/server/server.ts
  var ROWS = 50;
  function nameOf(sample) {
    return sample.PatientID ?? sample.id;
  }
  var Refusal = class extends Error {
    constructor(status, line2) {
      super(line2);
      this.status = status;
    }
    status;
  };
  var Away = class extends Error {
    constructor() {
      super("the server does not answer: is it running?");
    }
  };
  function lineOf(text2, status) {
    try {
      const { detail } = JSON.parse(text2);
      return typeof detail === "string" ? detail : `the server answered ${status}`;
    } catch {
      return `the server answered ${status}`;
    }
  }
  var LOGGED_OUT = 401;
  var NOT_HELD = 409;
  var ANOTHER_READER = 412;
  var READER_HEADER = "X-ActiveLabel-Reader";
  var PROJECT_HEADER = "X-ActiveLabel-Project";
  var ANSWER_MS = 6e4;
  var FILE_MS = 3e5;
  var COMPUTED_MS = 6e5;
  var WHO_MS = 1e4;
  var KEPT = "nothing drawn here is lost";
  var HIDDEN = /* @__PURE__ */ new Set([403, 404]);
  var BETWEEN = /* @__PURE__ */ new Set([502, 503, 504]);
  function isJson(answer) {
    return answer.headers.get("Content-Type")?.includes("json") === true;
  }
  function noAnswer({ status }) {
    return `what came (${status}) is no answer of activelabel: log in again in another tab, ${KEPT}`;
  }
  async function parsed(answer) {
    try {
      return await answer.json();
    } catch (error) {
      throw error instanceof SyntaxError ? new Refusal(answer.status, noAnswer(answer)) : new Away();
    }
  }
  var Server = class _Server {
    constructor(address, ask = (input, init) => fetch(input, init), writtenName = () => "", worker, known = {}) {
      this.address = address;
      this.writtenName = writtenName;
      this.worker = worker;
      this.known = known;
      this.ask = ask;
    }
    address;
    writtenName;
    worker;
    known;
    ask;
    /** The server as the one who sends it the work of a reader: it refuses that as the work of anybody else. */
    of(worker) {
      return new _Server(this.address, this.ask, this.writtenName, worker, this.known);
    }
    /** The project that is served. From now on the server refuses what this page sends, if it serves another one. */
    async project() {
      const { project, labels } = await this.json("GET", "info/");
      if (project !== void 0) {
        this.known.project = project;
      }
      return { id: project ?? "", labels: labels ?? [] };
    }
    /** What the stream of events tells too, seconds after a change. */
    progress() {
      return this.json("GET", "activelabel/progress");
    }
    async query() {
      return (await this.json("GET", "activelabel/query")).query;
    }
    /** Ask for the next case; nothing if none is left. The answer names its slices beside the patient, so the info is asked for. */
    async next() {
      const { id } = await this.json("POST", "activelearning/recipe", {});
      return id === void 0 ? void 0 : this.imageInfo(id);
    }
    /** Where an image lies in the PACS. */
    async imageInfo(image) {
      const info = await this.json("GET", `datastore/image/info?image=${encodeURIComponent(image)}`);
      return { ...info, id: image };
    }
    save(image, mask, params) {
      return this.send(`datastore/label?image=${encodeURIComponent(image)}&tag=final`, mask, params);
    }
    saveDraft(image, mask, params) {
      return this.send(`activelabel/draft?image=${encodeURIComponent(image)}`, mask, params);
    }
    draft(image) {
      return this.bytes("GET", `activelabel/draft?image=${encodeURIComponent(image)}`);
    }
    label(image, tag = "final") {
      return this.bytes("GET", `datastore/label?label=${encodeURIComponent(image)}&tag=${tag}`);
    }
    /** Who has drawn the label of an image; nothing if there is none, or none that this reader may see. */
    async labelledBy(image) {
      try {
        const { client_id } = await this.json("GET", `datastore/label/info?label=${encodeURIComponent(image)}&tag=final`);
        return client_id;
      } catch (error) {
        if (error instanceof Refusal && HIDDEN.has(error.status)) {
          return void 0;
        }
        throw error;
      }
    }
    prediction(image) {
      return this.bytes("POST", `infer/segmentation?image=${encodeURIComponent(image)}&output=image`, COMPUTED_MS);
    }
    uncertainty(image) {
      return this.bytes("GET", `activelabel/uncertainty?image=${encodeURIComponent(image)}&form=nifti`, COMPUTED_MS);
    }
    skip(image, skip, reason) {
      return this.json("POST", "activelabel/skip", { image, skip, reason });
    }
    active(image, seconds) {
      return this.json("POST", "activelabel/heartbeat", { image, seconds });
    }
    /** Who asks: by the login, if there is one. */
    async reader() {
      if (!(await this.json("GET", "auth/", void 0, WHO_MS)).enabled) {
        return { byLogin: false, name: this.writtenName(), reviews: true };
      }
      const { username, roles } = await this.json("GET", "auth/token/valid", void 0, WHO_MS);
      return { byLogin: true, name: username, reviews: roles.some((role) => role !== "annotator") };
    }
    /** The first cases of the worklist, and how many there are in each state. */
    worklist(after) {
      return this.json("GET", `activelabel/worklist?limit=${ROWS}&after=${encodeURIComponent(after)}`);
    }
    /** Take a label for review: that of an image, or the one that has waited longest. */
    async review(image) {
      const { review } = await this.json("POST", "activelabel/review", image === void 0 ? {} : { image });
      return review;
    }
    approve(image, version, note) {
      return this.json("POST", "activelabel/approve", { image, version, note });
    }
    returnLabel(image, version, note) {
      return this.json("POST", "activelabel/return", { image, version, note });
    }
    adjudicate(image, take, note) {
      return this.json("POST", "activelabel/adjudicate", { image, take, note });
    }
    release() {
      return this.json("POST", "activelabel/release", {});
    }
    async send(path, mask, params) {
      const form = new FormData();
      form.append("label", mask, "label.nii.gz");
      form.append("params", JSON.stringify(params));
      const answer = await this.request(path, { method: "PUT", body: form }, FILE_MS);
      const saved = await parsed(answer);
      if (saved?.state !== "finished" && saved?.state !== "draft") {
        throw new Refusal(answer.status, noAnswer(answer));
      }
      return saved;
    }
    async json(method, path, body, longest = ANSWER_MS) {
      const sent = body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
      return parsed(await this.request(path, { method, ...sent }, longest));
    }
    async bytes(method, path, longest = FILE_MS) {
      const answer = await this.request(path, { method }, longest);
      return answer.arrayBuffer().catch(() => {
        throw new Away();
      });
    }
    async request(path, init, longest) {
      const whose = {
        ...this.worker && { [READER_HEADER]: encodeURIComponent(this.worker.name) },
        ...this.known.project !== void 0 && { [PROJECT_HEADER]: this.known.project }
      };
      const headers = { Accept: "application/json, */*", ...init.headers, ...whose };
      const signal = AbortSignal.timeout(longest);
      const answer = await this.ask(`${this.address}/${path}`, { ...init, headers, signal }).catch(() => {
        throw new Away();
      });
      if (BETWEEN.has(answer.status) && !isJson(answer)) {
        throw new Away();
      }
      if (!answer.ok) {
        const line2 = lineOf(await answer.text(), answer.status);
        throw new Refusal(answer.status, answer.status === LOGGED_OUT ? `your login has ended: ${KEPT}` : line2);
      }
      return answer;
    }
  };

  // src/viewer/frames.ts
  function along(imageId) {
    const { cache, metaData } = window.cornerstone;
    const plane = metaData.get("imagePlaneModule", cache.getImage(imageId)?.referencedImageId ?? "");
    const [a, b, c] = [0, 1, 2].map((axis) => at(plane.rowCosines, axis));
    const [d, e, f] = [0, 1, 2].map((axis) => at(plane.columnCosines, axis));
    const [x, y, z] = [0, 1, 2].map((axis) => at(plane.imagePositionPatient, axis));
    return x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d);
  }
  async function inOrderOfFrames(segmentation, make2) {
    if (segmentation === void 0) {
      return make2();
    }
    const labelmap = segmentation.representationData.Labelmap;
    const shipped = labelmap.imageIds;
    const places = new Map(shipped.map((imageId) => [imageId, along(imageId)]));
    labelmap.imageIds = [...shipped].sort((one, other) => (places.get(other) ?? 0) - (places.get(one) ?? 0));
    try {
      return await make2();
    } finally {
      labelmap.imageIds = shipped;
    }
  }
  function complete(commands, name, how) {
    const shipped = commands.getCommand(name, "SEGMENTATION");
    if (shipped !== void 0 && shipped.completed !== true) {
      commands.registerCommand("SEGMENTATION", name, { ...shipped, completed: true, commandFn: how(shipped) });
    }
  }
  function completeDownload(commands, segmentations) {
    complete(commands, "downloadSegmentation", (shipped) => (options) => {
      const segmentation = segmentations.getSegmentation(String(options.segmentationId));
      return inOrderOfFrames(segmentation, () => shipped.commandFn(options));
    });
  }
  function reasonOf(error) {
    const { response, status, message } = error;
    return typeof response === "string" ? lineOf(response, status ?? 0) : message ?? String(error);
  }
  function completeExport(commands, extensions2, segmentations, tell3) {
    complete(commands, "storeSegmentation", (shipped) => async (options) => {
      const [dataSource] = extensions2.getActiveDataSource();
      const segmentation = segmentations.getSegmentation(String(options.segmentationId));
      try {
        const seg = await inOrderOfFrames(segmentation, () => shipped.commandFn({ dataSource, ...options }));
        if (seg) {
          tell3("success", "The segmentation is stored, and a label now.");
        }
        return seg;
      } catch (error) {
        tell3("error", reasonOf(error));
        return void 0;
      }
    });
  }

  // src/panel/keys.ts
  function meaningOf(event, actions) {
    const step = stepOf(event);
    if (step !== void 0) {
      return () => {
        actions.step(step);
      };
    }
    if (event.ctrlKey || event.metaKey) {
      return ofControl(event.key.toLowerCase(), event.shiftKey, actions);
    }
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if (event.altKey) {
      return digit === void 0 ? void 0 : () => {
        actions.choose(Number(digit));
      };
    }
    return event.shiftKey && event.code === "KeyD" ? () => {
      actions.mark();
    } : void 0;
  }
  function stepOf({ key, ctrlKey, metaKey, altKey }) {
    const isLetter = altKey || !ctrlKey && !metaKey;
    return isLetter ? { "[": -1, "]": 1 }[key] : void 0;
  }
  function ofControl(key, shift, actions) {
    if (key === "enter") {
      return () => {
        actions.saveAndNext();
      };
    }
    if (key === "y" || key === "z" && shift) {
      return () => {
        actions.redo();
      };
    }
    return key === "z" ? () => {
      actions.undo();
    } : void 0;
  }
  var WRITING = "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable]:not([contenteditable=false])";
  var PRESSING = /* @__PURE__ */ new Set([" ", "Enter"]);
  var SLIDING = /* @__PURE__ */ new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
  function isForControl(focused, { key }) {
    const control = PRESSING.has(key) ? "button, a" : SLIDING.has(key) ? "[type=range]" : void 0;
    return control !== void 0 && focused.matches(`.activelabel :is(${control}):focus-visible`);
  }
  function listenForKeys(actions) {
    window.addEventListener(
      "keydown",
      (event) => {
        const { target } = event;
        if (target instanceof Element && target.matches(WRITING)) {
          return;
        }
        const act = meaningOf(event, actions);
        if (act !== void 0) {
          event.preventDefault();
          event.stopPropagation();
          act();
        } else if (target instanceof Element && isForControl(target, event)) {
          event.stopPropagation();
        }
      },
      true
    );
  }

  // src/session/journal.ts
  var LONGEST_MS = 15e3;
  var UNKNOWN = "";
  var PROJECT = 0;
  var PAGE = 3;
  function isOf(project, { place }) {
    return place[PROJECT] === project;
  }
  function isOfUnknown(kept) {
    return isOf(UNKNOWN, kept);
  }
  function placesOf(place) {
    const [project, reader, image] = place;
    return project === UNKNOWN ? [place] : [[UNKNOWN, reader, image], place];
  }
  var Strokes = class {
    constructor(shelf2, place, ground, onTrouble) {
      this.shelf = shelf2;
      this.place = place;
      this.ground = ground;
      this.onTrouble = onTrouble;
    }
    shelf;
    place;
    ground;
    onTrouble;
    isKept = false;
    /** Note slices as they are after a stroke. */
    note(slices) {
      this.isKept = true;
      this.put(slices.map(({ start, values }) => ({ start, values: Uint8Array.from(values) })));
    }
    /** The drawing goes to the server: whatever is heard of it, the case may open with it the next time. */
    sent(digest) {
      this.drawnOn([...this.ground.digests.filter((other) => other !== digest), digest]);
    }
    /** The server has a drawing; what was `changed` since is still to be kept. */
    saved(digest, changed) {
      if (!changed) {
        this.forget();
      }
      this.drawnOn([digest]);
    }
    /** The server has what is drawn, or it is given up. */
    forget() {
      this.isKept = false;
      this.shelf.remove(this.place).catch(this.onTrouble);
    }
    drawnOn(digests) {
      this.ground = { ...this.ground, digests };
      if (this.isKept) {
        this.put([]);
      }
    }
    put(slices) {
      this.shelf.put(this.place, this.ground, slices).catch(this.onTrouble);
    }
  };
  var Journal = class {
    constructor(shelf2, pages, onTrouble, longestMs = LONGEST_MS) {
      this.shelf = shelf2;
      this.pages = pages;
      this.onTrouble = onTrouble;
      this.longestMs = longestMs;
    }
    shelf;
    pages;
    onTrouble;
    longestMs;
    openings = 0;
    /** A case opens, with a drawing of this digest. */
    begin(place, labels, digest) {
      return new Strokes(this.shelf, [...place, this.pages.own, ++this.openings], { labels, digests: [digest] }, this.sayLost);
    }
    /** What lies here of a reader's case, the oldest first, those of an unknown project before all others, without that of pages that are still open. */
    async left(place) {
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`no answer within ${this.longestMs / 1e3} s`));
        }, this.longestMs);
      });
      try {
        return await Promise.race([this.ofGonePages(place), late]);
      } catch (error) {
        this.onTrouble(`Whether strokes of before lie in this browser is not known (${String(error)}): they stay there.`);
        return [];
      } finally {
        clearTimeout(timer);
      }
    }
    /** Strokes of another opening were taken over. */
    remove(place) {
      this.shelf.remove(place).catch(this.sayLost);
    }
    /** Strokes of another opening are not wanted in a project. Those that may be of another one stay for it. */
    drop(kept, project) {
      const dropped = isOfUnknown(kept) ? this.shelf.decline(kept.place, project) : this.shelf.remove(kept.place);
      dropped.catch(this.sayLost);
    }
    /** What this page keeps of a reader's case is given up. */
    forget(place) {
      for (const one of placesOf(place)) {
        this.shelf.remove([...one, this.pages.own]).catch(this.sayLost);
      }
    }
    async ofGonePages(place) {
      const all = (await Promise.all(placesOf(place).map((one) => this.shelf.of(one)))).flat();
      const kept = all.filter(({ declined = [] }) => !declined.includes(place[PROJECT]));
      const pageOf = ({ place: place2 }) => place2[PAGE];
      if (kept.every((one) => pageOf(one) === this.pages.own)) {
        return kept;
      }
      const others = await this.pages.others();
      return kept.filter((one) => !others.has(pageOf(one)));
    }
    sayLost = (error) => {
      this.onTrouble(`This browser keeps nothing of what is drawn (${String(error)}): only drafts are kept, every half minute.`);
    };
  };

  // src/session/marks.ts
  var KEY = "activelabel_done";
  var PROJECT_KEY = "activelabel_project";
  var Marks = class {
    constructor(storage) {
      this.storage = storage;
    }
    storage;
    /**
     * The tab works on this project: marks of another one, which may have the same images, are given up. Those that were made
     * before the tab was told of any are this one's.
     */
    belongTo(project) {
      const before = this.storage.getItem(PROJECT_KEY) ?? UNKNOWN;
      if (before !== UNKNOWN && before !== project) {
        this.storage.setItem(KEY, "null");
      }
      this.storage.setItem(PROJECT_KEY, project);
    }
    /** The places of the slices that the reader has marked among those that a query asks for: who logs in after them begins anew. */
    of({ image, slices }, reader) {
      const text2 = this.storage.getItem(KEY);
      const marked = text2 === null ? void 0 : JSON.parse(text2);
      if (marked?.image !== image || marked.reader !== reader) {
        return [];
      }
      return marked.indices.map((index) => slices.findIndex((slice) => slice.index === index)).filter((place) => place >= 0);
    }
    keep({ image, slices }, reader, done) {
      const indices = slices.filter((_, place) => done.includes(place)).map(({ index }) => index);
      const marked = { image, reader, indices };
      this.storage.setItem(KEY, JSON.stringify(marked));
    }
  };

  // src/viewer/mode.ts
  var ID = "@ohif/mode-monai-label";
  var VOLUMES = /* @__PURE__ */ new Set(["CT", "MR", "NM", "PT"]);
  function hasVolume(modalities) {
    return modalities.split("\\").some((modality) => VOLUMES.has(modality));
  }
  var MODE_MODULE = {
    id: ID,
    async modeFactory({ loadModules, ...options }) {
      const [shipped] = await loadModules([ID]);
      if (shipped === void 0) {
        throw new Error(`OHIF has no ${ID}`);
      }
      const description = "The mode is for volumes: CT, MR, PET and NM";
      return {
        ...shipped.modeFactory(options),
        isValidMode: ({ modalities }) => ({ valid: hasVolume(modalities), description })
      };
    }
  };

  // src/volumes/nifti.ts
  var HEADER_BYTES = 352;
  var SIZE_OF_HEADER = 348;
  var UINT8 = 2;
  var MILLIMETRES = 2;
  var SCANNER = 1;
  async function through(bytes, stream) {
    return new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
  }
  async function writeMask({ grid, values }) {
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    header.setInt32(0, SIZE_OF_HEADER, true);
    [3, ...grid.shape, 1, 1, 1, 1].forEach((length, index) => {
      header.setInt16(40 + 2 * index, length, true);
    });
    header.setInt16(70, UINT8, true);
    header.setInt16(72, 8, true);
    const spacing = [0, 1, 2].map((axis) => Math.hypot(...grid.affine.map((row) => at(row, axis))));
    [1, ...spacing].forEach((length, index) => {
      header.setFloat32(76 + 4 * index, length, true);
    });
    header.setFloat32(108, HEADER_BYTES, true);
    header.setUint8(123, MILLIMETRES);
    header.setInt16(254, SCANNER, true);
    grid.affine.flat().forEach((value, index) => {
      header.setFloat32(280 + 4 * index, value, true);
    });
    new TextEncoder().encode("n+1\0").forEach((byte, index) => {
      header.setUint8(344 + index, byte);
    });
    const whole = new Uint8Array(HEADER_BYTES + values.length);
    whole.set(new Uint8Array(header.buffer));
    whole.set(values, HEADER_BYTES);
    return new Blob([await through(whole, new CompressionStream("gzip"))], { type: "application/gzip" });
  }
  var TYPES = /* @__PURE__ */ new Map([
    [2, [1, (view, offset) => view.getUint8(offset)]],
    [4, [2, (view, offset) => view.getInt16(offset, true)]],
    [8, [4, (view, offset) => view.getInt32(offset, true)]],
    [16, [4, (view, offset) => view.getFloat32(offset, true)]],
    [64, [8, (view, offset) => view.getFloat64(offset, true)]],
    [256, [1, (view, offset) => view.getInt8(offset)]],
    [512, [2, (view, offset) => view.getUint16(offset, true)]]
  ]);
  async function read(file, make2) {
    const [first, second] = new Uint8Array(file, 0, 2);
    const bytes = first === 31 && second === 139 ? await through(file, new DecompressionStream("gzip")) : file;
    const view = new DataView(bytes);
    if (bytes.byteLength < HEADER_BYTES || view.getInt32(0, true) !== SIZE_OF_HEADER) {
      throw new Error("the server sent a file that is no NIfTI");
    }
    const shape = triple([1, 2, 3].map((index) => view.getInt16(40 + 2 * index, true)));
    const kind = view.getInt16(70, true);
    const [size, value] = TYPES.get(kind) ?? [0, void 0];
    if (value === void 0) {
      throw new Error(`the server sent a NIfTI of a type that is not known here (${kind})`);
    }
    const count = shape[0] * shape[1] * shape[2];
    const offset = view.getFloat32(108, true);
    if (offset + count * size > bytes.byteLength) {
      throw new Error("the NIfTI that the server sent ends too early");
    }
    const [slope, intercept] = scalingOf(view);
    const values = make2(count);
    for (let index = 0; index < count; index++) {
      values[index] = value(view, offset + index * size) * slope + intercept;
    }
    return { grid: { shape, affine: affineOf(view) }, values };
  }
  function scalingOf(view) {
    const slope = view.getFloat32(112, true);
    return slope === 0 || Number.isNaN(slope) ? [1, 0] : [slope, view.getFloat32(116, true)];
  }
  function affineOf(view) {
    if (view.getInt16(254, true) <= 0) {
      throw new Error("the NIfTI that the server sent does not say where it lies");
    }
    const row = (index) => [0, 1, 2, 3].map((i) => view.getFloat32(280 + 16 * index + 4 * i, true));
    return [row(0), row(1), row(2)];
  }
  function readMask(file) {
    return read(file, (length) => new Uint8Array(length));
  }
  function readMap(file) {
    return read(file, (length) => new Float32Array(length));
  }

  // src/viewer/overlay.ts
  var COARSE = 2;
  var SHOWN_FROM = 0.05;
  function heat(share) {
    return [
      Math.min(255, 130 + 250 * share),
      Math.max(0, Math.min(255, 400 * share - 110)),
      Math.max(0, 500 * share - 320),
      Math.min(255, 90 + 400 * share)
    ];
  }
  function pixelsOf(map, largest, plane, width, height) {
    const pixels = new Uint8ClampedArray(4 * width * height);
    const [columns, rows, slices] = map.grid.shape;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const i = Math.round(plane.first[0] + x * plane.right[0] + y * plane.down[0]);
        const j = Math.round(plane.first[1] + x * plane.right[1] + y * plane.down[1]);
        const k = Math.round(plane.first[2] + x * plane.right[2] + y * plane.down[2]);
        if (i < 0 || j < 0 || k < 0 || i >= columns || j >= rows || k >= slices) {
          continue;
        }
        const share = at(map.values, i + columns * (j + rows * k)) / largest;
        if (share >= SHOWN_FROM) {
          pixels.set(heat(share), 4 * (x + width * y));
        }
      }
    }
    return pixels;
  }
  function planeOf(viewport, map, step) {
    const back = inverted(map.grid.affine);
    const voxel = (x, y) => {
      const [left2, posterior, up] = viewport.canvasToWorld([x, y]);
      return applied(back, [-left2, -posterior, up]);
    };
    const first = voxel(step / 2, step / 2);
    const from = (other) => [other[0] - first[0], other[1] - first[1], other[2] - first[2]];
    return { first, right: from(voxel(1.5 * step, step / 2)), down: from(voxel(step / 2, 1.5 * step)) };
  }
  var Overlay = class {
    constructor(map, viewports, opacity) {
      this.map = map;
      this.largest = map.values.reduce((most, value) => Math.max(most, value), 0) || 1;
      this.views = viewports.map((viewport) => this.over(viewport));
      this.setOpacity(opacity);
    }
    map;
    largest;
    views;
    setOpacity(opacity) {
      for (const { canvas, draw } of this.views) {
        canvas.style.opacity = String(opacity);
        canvas.hidden = opacity === 0;
        draw();
      }
    }
    close() {
      for (const { viewport, canvas, draw } of this.views) {
        viewport.element.removeEventListener(window.cornerstone.EVENTS.IMAGE_RENDERED, draw);
        canvas.remove();
      }
    }
    over(viewport) {
      const canvas = document.createElement("canvas");
      canvas.className = "activelabel-uncertainty";
      viewport.element.append(canvas);
      let due = 0;
      const draw = () => {
        cancelAnimationFrame(due);
        due = requestAnimationFrame(() => {
          this.draw(viewport, canvas);
        });
      };
      viewport.element.addEventListener(window.cornerstone.EVENTS.IMAGE_RENDERED, draw);
      return { viewport, canvas, draw };
    }
    draw(viewport, canvas) {
      const width = Math.floor(viewport.element.clientWidth / COARSE);
      const height = Math.floor(viewport.element.clientHeight / COARSE);
      if (canvas.hidden || width === 0 || height === 0) {
        return;
      }
      canvas.width = width;
      canvas.height = height;
      const pixels = pixelsOf(this.map, this.largest, planeOf(viewport, this.map, COARSE), width, height);
      canvas.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
    }
  };

  // src/viewer/overlays.ts
  var Overlays = class {
    constructor(server, viewer, set) {
      this.server = server;
      this.viewer = viewer;
      this.set = set;
    }
    server;
    viewer;
    set;
    image;
    shown;
    opacity = 0;
    /** Show what belongs to a state. */
    follow({ phase, query, opacity }) {
      const image = phase === "drawing" && opacity > 0 && query !== null ? query.image : this.kept(phase, query);
      if (image !== this.image) {
        this.shown?.close();
        this.shown = void 0;
        this.image = image;
        if (image !== void 0) {
          void this.load(image);
        }
      } else if (opacity !== this.opacity) {
        this.shown?.setOpacity(opacity);
      }
      this.opacity = opacity;
    }
    /** The case whose map is there already, as long as it is open. */
    kept(phase, query) {
      return phase === "drawing" && query?.image === this.image ? this.image : void 0;
    }
    async load(image) {
      this.set({ overlay: "loading" });
      try {
        const map = await readMap(await this.server.uncertainty(image));
        const viewports = this.viewer.viewports(image);
        if (image === this.image && viewports !== void 0) {
          this.shown = new Overlay(map, viewports, this.opacity);
          this.set({ overlay: "shown" });
        }
      } catch (error) {
        if (image === this.image) {
          const text2 = error instanceof Error ? error.message : String(error);
          this.image = void 0;
          this.set({ overlay: "none", opacity: 0, message: { kind: "bad", text: text2 } });
        }
      }
    }
  };

  // src/server/name.ts
  var COOKIE = "activelabel_reader";
  var YEAR_SECONDS = 365 * 24 * 3600;
  var LONGEST_NAME = 100;
  function nameIn(cookies) {
    const found = cookies.split("; ").find((cookie) => cookie.startsWith(`${COOKIE}=`));
    return found === void 0 ? "" : decodeURIComponent(found.slice(COOKIE.length + 1));
  }
  function cookieOf(name) {
    const kept = name.trim().slice(0, LONGEST_NAME);
    return `${COOKIE}=${encodeURIComponent(kept)}; path=/; SameSite=Strict; max-age=${kept === "" ? 0 : YEAR_SECONDS}`;
  }

  // src/viewer/notices.ts
  var SERIES = "Series filter";
  function withoutSeriesNotice(notices) {
    const shipped = notices.show.bind(notices);
    notices.show = (notice) => notice.title === SERIES ? void 0 : shipped(notice);
  }

  // src/viewer/own_plane.ts
  var LOOKS = {
    axial: { viewPlaneNormal: [0, 0, -1], viewUp: [0, -1, 0] },
    sagittal: { viewPlaneNormal: [1, 0, 0], viewUp: [0, 0, 1] },
    coronal: { viewPlaneNormal: [0, -1, 0], viewUp: [0, 0, 1] }
  };
  var SAME = 1e-6;
  var dot = (one, other) => one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
  function nearest(axes, wanted) {
    const [best] = [...axes].sort((one, other) => Math.abs(dot(other, wanted)) - Math.abs(dot(one, wanted)));
    return along2(best ?? wanted, wanted);
  }
  function along2(axis, wanted) {
    return dot(axis, wanted) < 0 ? [-axis[0], -axis[1], -axis[2]] : axis;
  }
  function assigned(axes) {
    const nearness = (axis) => Math.max(...axis.map(Math.abs));
    const found = [void 0, void 0, void 0];
    for (const axis of [...axes].sort((one, other) => nearness(other) - nearness(one))) {
      const [best] = [0, 1, 2].filter((place) => found[place] === void 0).sort((one, other) => Math.abs(axis[other] ?? 0) - Math.abs(axis[one] ?? 0));
      found[best ?? 0] = axis;
    }
    return found;
  }
  function ownPlane(plane, direction) {
    const look = LOOKS[plane];
    if (look === void 0) {
      return void 0;
    }
    const axes = [0, 3, 6].map((from) => [direction[from] ?? 0, direction[from + 1] ?? 0, direction[from + 2] ?? 0]);
    const normal = assigned(axes)[look.viewPlaneNormal.findIndex((part) => part !== 0)] ?? look.viewPlaneNormal;
    const viewPlaneNormal = along2(normal, look.viewPlaneNormal);
    if (dot(viewPlaneNormal, look.viewPlaneNormal) > 1 - SAME) {
      return void 0;
    }
    return { viewPlaneNormal, viewUp: nearest(axes.filter((axis) => axis !== normal), look.viewUp) };
  }
  function turnOf(viewport, plane) {
    const direction = viewport.getImageData()?.direction;
    const camera = direction === void 0 ? void 0 : ownPlane(plane, direction);
    if (camera === void 0) {
      return void 0;
    }
    const [shown, wanted] = [viewport.getCamera().viewPlaneNormal, camera.viewPlaneNormal];
    return dot(shown, wanted) < (1 - SAME) * Math.hypot(...shown) * Math.hypot(...wanted) ? camera : void 0;
  }
  function turnToSlices(viewport, plane) {
    const camera = turnOf(viewport, plane);
    if (camera !== void 0) {
      viewport.setCamera(camera);
      viewport.render();
    }
  }
  function mendTurnedViews({ prototype }) {
    const shipped = prototype.setViewReference;
    prototype.setViewReference = function(reference) {
      const { orientation } = this.viewportProperties;
      this.viewportProperties.orientation = void 0;
      try {
        shipped.call(this, reference);
      } finally {
        this.viewportProperties.orientation = orientation;
      }
    };
  }

  // src/panel/elements.ts
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => {
      element.setAttribute(name, value);
    });
    element.append(...children);
    return element;
  }
  function button(text2, press, attributes = {}) {
    const element = make("button", { type: "button", ...attributes }, text2);
    element.addEventListener("click", (event) => {
      press();
      if (event.detail > 0) {
        element.blur();
      }
    });
    return element;
  }
  function textField(attributes) {
    const field = make("input", { type: "text", maxlength: "200", ...attributes });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") {
        event.stopPropagation();
      }
    });
    return field;
  }
  function tell(element, text2) {
    element.textContent = text2;
    element.hidden = text2 === "";
  }

  // src/panel/panel_message.ts
  var MessagePart = class {
    element = make("p", { class: "al-message", role: "status", hidden: "" });
    shown = "";
    /** A line that stands already is left as it is: the link in it may have the focus, or be pressed just now. */
    show({ message }) {
      const asked = message === void 0 ? "" : JSON.stringify(message);
      if (asked === this.shown) {
        return;
      }
      this.shown = asked;
      this.write(message);
    }
    write(message) {
      tell(this.element, message?.text ?? "");
      this.element.className = `al-message al-${message?.kind ?? "plain"}`;
      if (message?.login === true) {
        this.element.append(" ", make("a", { href: "/login", target: "_blank" }, "Log in, in another tab"));
      }
    }
  };

  // src/session/state.ts
  var BEGINNING = {
    phase: "free",
    comes: "case",
    labels: [],
    project: "",
    query: null,
    reader: void 0,
    review: null,
    reading: void 0,
    name: "",
    from: "",
    message: void 0,
    asks: [],
    kept: void 0,
    changed: false,
    waits: false,
    canUndo: false,
    canRedo: false,
    slice: 0,
    done: [],
    older: void 0,
    overlay: "none",
    opacity: 0,
    progress: void 0
  };
  function walkOf({ query, review }) {
    return review === null ? query : { image: review.image, plane: review.plane, slices: review.covered };
  }

  // src/panel/panel.ts
  var SKIPS = [
    ["not now", "Not now: later, or somebody else"],
    ["cannot be annotated", "Cannot be annotated: nobody is asked for it"]
  ];
  var Panel = class {
    constructor(actions, parts) {
      this.actions = actions;
      this.parts = parts;
      this.buttons = {
        next: button("Next case", () => {
          actions.next();
        }, { class: "al-main" }),
        save: button("Save and next", () => {
          actions.saveAndNext();
        }, { class: "al-main", title: "Ctrl+Enter" }),
        undo: button("↶", () => {
          actions.undo();
        }, { title: "Undo: Ctrl+Z", "aria-label": "Undo" }),
        redo: button("↷", () => {
          actions.redo();
        }, { title: "Redo: Ctrl+Y", "aria-label": "Redo" }),
        skip: button("Skip…", () => {
          this.openSkip(this.skipForm.hidden);
        }, { "aria-expanded": "false" })
      };
      this.skipForm = this.makeSkipForm();
      this.overlay = make("label", { class: "al-row" }, "Uncertainty", this.slider, this.overlayText);
      this.slider.addEventListener("input", () => {
        actions.setOpacity(Number(this.slider.value));
      });
      const { next, save, undo, redo, skip } = this.buttons;
      this.element = make(
        "section",
        { class: "activelabel", "aria-label": "activelabel" },
        make("div", { class: "al-row al-head" }, this.title, parts.reader.element),
        this.reason,
        this.begun,
        parts.older.element,
        this.slices,
        parts.review.element,
        make("div", { class: "al-row al-acts" }, next, save, parts.take.element, ...parts.review.buttons, make("div", { class: "al-retrace" }, undo, redo), skip),
        this.skipForm,
        this.message.element,
        this.overlay,
        this.kept,
        this.done,
        this.bar,
        this.progress,
        parts.folded.element
      );
    }
    actions;
    parts;
    element;
    title = make("h2");
    reason = make("p", { class: "al-reason" });
    begun = make("p", { class: "al-quiet" });
    slices = make("div", { class: "al-row al-slices" });
    message = new MessagePart();
    progress = make("p", { class: "al-quiet al-progress" });
    bar = make("progress", { max: "1", "aria-label": "Training or scoring" });
    done = make("p", { class: "al-quiet" });
    kept = make("p", { class: "al-quiet al-kept" });
    slider = make("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": "Uncertainty" });
    overlay;
    overlayText = make("span", { class: "al-quiet" });
    skipForm;
    skipWarning = make("p", { class: "al-message al-bad" }, "What is drawn since the latest draft is lost.");
    buttons;
    show(state) {
      const { phase } = state;
      this.title.textContent = titleOf(state);
      this.reason.title = reasonOf2(state);
      tell(this.reason, reasonOf2(state));
      this.reason.classList.toggle("al-whole", isReadWhole(state));
      tell(this.begun, phase === "drawing" || phase === "reviewing" ? state.from : "");
      this.message.show(state);
      tell(this.kept, keptOf(state));
      this.showProgress(state);
      this.showButtons(state);
      this.showSmallButtons(state);
      this.showSlices(state);
      this.overlay.hidden = phase !== "drawing";
      this.slider.value = String(state.opacity);
      this.overlayText.textContent = state.overlay === "loading" ? "computing …" : "";
      Object.values(this.parts).forEach((part) => {
        part.show?.(state);
      });
    }
    showProgress({ phase, progress }) {
      tell(this.progress, progress !== void 0 && (phase === "free" || progress.runs) ? progress.line : "");
      tell(this.done, progress?.done ?? "");
      this.bar.hidden = progress?.share === void 0;
      this.bar.value = progress?.share ?? 0;
    }
    showButtons({ phase, query, review }) {
      const { next, save } = this.buttons;
      const open = review === null && (phase === "drawing" || phase === "sending");
      next.hidden = open || review !== null;
      next.disabled = phase === "opening";
      next.textContent = nextOf(phase, query);
      save.hidden = !open;
      save.disabled = phase !== "drawing";
    }
    showSmallButtons({ phase, query, review, canUndo, canRedo, changed }) {
      const { undo, redo, skip } = this.buttons;
      const busy = phase === "opening" || phase === "sending";
      undo.disabled = busy || !canUndo;
      redo.disabled = busy || !canRedo;
      undo.hidden = redo.hidden = phase === "free" || phase === "opening";
      skip.hidden = query === null || review !== null;
      skip.disabled = skip.hidden || busy;
      if (skip.disabled && !this.skipForm.hidden) {
        this.openSkip(false);
      }
      this.skipWarning.hidden = !changed;
    }
    showSlices(state) {
      const { phase, slice, done } = state;
      const { plane, slices: asked } = walkOf(state) ?? { plane: null, slices: [] };
      const current = asked[slice];
      this.slices.hidden = !["drawing", "reviewing"].includes(phase) || current === void 0;
      if (current === void 0) {
        return;
      }
      const back = button("◀", () => {
        this.actions.step(-1);
      }, { title: "Previous asked slice: [", "aria-label": "Previous slice" });
      const on = button("▶", () => {
        this.actions.step(1);
      }, { title: "Next asked slice: ]", "aria-label": "Next slice" });
      back.disabled = slice === 0;
      on.disabled = slice === asked.length - 1;
      const count = done.length > 0 ? ` · ${done.length} done` : "";
      const place = make(
        "span",
        { class: "al-place" },
        `${plane ?? ""} (${current.ohif_number})`,
        make("span", { class: "al-quiet" }, `${slice + 1} of ${asked.length}${count}`)
      );
      const pressed = String(done.includes(slice));
      const mark = button(`Slice done${done.includes(slice) ? " ✓" : ""}`, () => {
        this.actions.mark();
      }, { title: "Shift+D", "aria-pressed": pressed });
      const focused = [...this.slices.children].indexOf(document.activeElement ?? this.slices);
      this.slices.replaceChildren(back, place, on, ...phase === "drawing" ? [mark] : []);
      if (focused >= 0) {
        this.slices.children[focused].focus();
      }
    }
    openSkip(open) {
      this.skipForm.hidden = !open;
      this.buttons.skip.setAttribute("aria-expanded", String(open));
      if (open) {
        this.skipForm.querySelector("input")?.focus();
      }
    }
    makeSkipForm() {
      const why = textField({ placeholder: "why, in one line", "aria-label": "Reason" });
      const choices = SKIPS.map(
        ([kind, text2]) => button(text2, () => {
          this.openSkip(false);
          this.actions.skip(kind, why.value.trim());
          why.value = "";
        })
      );
      const form = make("div", { class: "al-skip" }, this.skipWarning, why, ...choices);
      form.hidden = true;
      form.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
          this.openSkip(false);
          this.buttons.skip.focus();
        }
      });
      return form;
    }
  };
  function nextOf(phase, query) {
    return query !== null && phase === "free" ? "Open it" : "Next case";
  }
  function titleOf({ phase, comes, query, review, name, message }) {
    if (phase === "opening" && comes === "case") {
      return name ? `Opening ${name} …` : "Asking for a case …";
    }
    if (phase === "free") {
      return query === null ? message === void 0 ? "Ask for a case" : "No case is open" : "You have a case open";
    }
    if (review !== null) {
      return `${name} (review)`;
    }
    return query?.role === "validation" ? `${name} (validation)` : name;
  }
  function reasonOf2({ query, review }) {
    if (query === null || review !== null) {
      return "";
    }
    return query.returned === null ? query.reason : `Returned by ${query.returned.reviewer}: ${query.returned.note}`;
  }
  function isReadWhole({ query }) {
    return query !== null && (query.draft || query.returned !== null);
  }
  function keptOf({ phase, kept, changed }) {
    if (phase === "sending") {
      return "Saving …";
    }
    if (phase !== "drawing") {
      return "";
    }
    if (kept === void 0) {
      return changed ? "Not saved yet: a draft is kept every half minute." : "";
    }
    return `Draft kept at ${kept}.${changed ? " What was drawn since follows within half a minute." : ""}`;
  }

  // src/panel/panel.css
  var panel_default = "/* It shares its side with OHIF's list of structures, one below the other: a panel loses its state when another replaces it. */\ndiv.activelabel-panel {\n  flex: none;\n}\n:has(> div.activelabel-panel) {\n  overflow: hidden auto;\n}\n:has(> div.activelabel-panel),\n.activelabel .al-folded {\n  scrollbar-width: thin;\n  scrollbar-color: #35547c transparent;\n}\n.activelabel {\n  display: flex;\n  flex-direction: column;\n  gap: 4px;\n  padding: 6px 10px;\n  color: #d7e3f4;\n  font-size: 13px;\n  line-height: 1.4;\n}\n.activelabel [hidden] {\n  display: none !important;\n}\n.activelabel h2 {\n  margin: 0;\n  color: #fff;\n  font-size: 15px;\n  overflow-wrap: anywhere;\n}\n.activelabel p {\n  margin: 0;\n}\n.activelabel .al-quiet {\n  color: #8fa6c4;\n  font-size: 12px;\n}\n.activelabel .al-row {\n  display: flex;\n  flex-wrap: wrap;\n  align-items: center;\n  gap: 6px;\n}\n.activelabel button {\n  padding: 4px 8px;\n  border: 1px solid #35547c;\n  border-radius: 4px;\n  background: #10233f;\n  color: #e8f1fc;\n}\n.activelabel .al-row button {\n  white-space: nowrap;\n}\n.activelabel button:hover:enabled {\n  background: #1d3a63;\n}\n.activelabel button.al-main {\n  padding: 5px 8px;\n  border-color: #5acce6;\n  background: #0b6a86;\n  color: #fff;\n  font-weight: 600;\n}\n.activelabel button:disabled {\n  border-color: #1f3a5f;\n  background: none;\n  color: #7388a6;\n}\n.activelabel :focus-visible {\n  outline: 2px solid #fff;\n  outline-offset: 1px;\n}\n.activelabel .al-message {\n  padding: 6px 8px;\n  border-left: 3px solid #8fa6c4;\n  background: #0d1a2d;\n  overflow-wrap: anywhere;\n}\n.activelabel .al-message a {\n  color: #5acce6;\n  text-decoration: underline;\n}\n.activelabel .al-message.al-bad {\n  border-color: #ff8a65;\n}\n.activelabel .al-message.al-good {\n  border-color: #7ddc8a;\n}\n.activelabel input[type='text'] {\n  width: 100%;\n  padding: 4px 6px;\n  border: 1px solid #5277a8;\n  border-radius: 4px;\n  background: #07101e;\n  color: #fff;\n}\n.activelabel input[type='range'] {\n  flex: 1;\n  appearance: auto;\n  height: 16px;\n  background: transparent;\n  accent-color: #5acce6;\n}\n.activelabel progress {\n  appearance: auto;\n  width: 100%;\n  accent-color: #5acce6;\n}\n.activelabel .al-skip {\n  display: flex;\n  flex-direction: column;\n  gap: 6px;\n  padding: 8px;\n  border: 1px solid #35547c;\n  border-radius: 4px;\n}\ncanvas.activelabel-uncertainty {\n  position: absolute;\n  inset: 0;\n  width: 100%;\n  height: 100%;\n  pointer-events: none;\n}\n.activelabel .al-column {\n  display: flex;\n  flex-direction: column;\n  gap: 6px;\n}\n.activelabel .al-name input[type='text'] {\n  flex: 1;\n  width: auto;\n}\n/* The parts that are folded away open over OHIF's list of structures, so that nothing moves. */\n.activelabel .al-folds {\n  position: relative;\n}\n.activelabel .al-heads {\n  padding-top: 4px;\n  border-top: 1px solid #1f3a5f;\n}\n.activelabel .al-heads button {\n  flex: 1;\n  padding: 3px 6px;\n  border-color: transparent;\n  color: #8fa6c4;\n}\n.activelabel .al-heads button[aria-expanded='true'] {\n  border-color: #35547c;\n  color: #fff;\n}\n.activelabel .al-folded {\n  position: absolute;\n  z-index: 10;\n  top: 100%;\n  right: -10px;\n  left: -10px;\n  padding: 8px 10px;\n  overflow-y: auto;\n  border-bottom: 1px solid #35547c;\n  background: #04101f;\n  box-shadow: 0 10px 20px rgb(0 0 0 / 60%);\n}\n.activelabel .al-rows {\n  display: flex;\n  flex-direction: column;\n  gap: 2px;\n}\n.activelabel .al-head {\n  justify-content: space-between;\n}\n.activelabel .al-place {\n  flex: 1;\n  line-height: 1.2;\n  text-align: center;\n}\n.activelabel .al-place .al-quiet {\n  display: block;\n  font-size: 11px;\n}\n.activelabel .al-acts {\n  gap: 4px;\n}\n/* They stay together. */\n.activelabel .al-retrace {\n  display: flex;\n  gap: 4px;\n}\n.activelabel .al-acts .al-main {\n  flex: 1;\n}\n.activelabel .al-acts button:not(.al-main) {\n  padding: 5px 6px;\n}\n.activelabel .al-both button {\n  flex: 1;\n  min-width: 0;\n  overflow: hidden;\n  text-overflow: ellipsis;\n}\n.activelabel .al-reason {\n  display: -webkit-box;\n  overflow: hidden;\n  -webkit-box-orient: vertical;\n  -webkit-line-clamp: 3;\n}\n.activelabel .al-reason.al-whole {\n  -webkit-line-clamp: none;\n}\n.activelabel button[aria-pressed='true'] {\n  border-color: #5acce6;\n  color: #fff;\n}\n.activelabel button.al-line {\n  display: grid;\n  grid-template-columns: 1fr auto;\n  gap: 0 8px;\n  padding: 4px 8px;\n  border-color: transparent;\n  text-align: left;\n}\n.activelabel .al-line .al-quiet {\n  grid-column: 1 / -1;\n  overflow-wrap: anywhere;\n}\n.activelabel .al-case {\n  overflow-wrap: anywhere;\n}\n.activelabel .al-state {\n  color: #8fa6c4;\n}\n.activelabel .al-state.al-finished,\n.activelabel .al-state.al-approved {\n  color: #7ddc8a;\n}\n.activelabel .al-state.al-draft,\n.activelabel .al-state.al-leased,\n.activelabel .al-state.al-in-review {\n  color: #ffd166;\n}\n.activelabel .al-state.al-returned,\n.activelabel .al-state.al-cannot-be-annotated {\n  color: #ff8a65;\n}\n.activelabel .al-plot svg {\n  width: 100%;\n  max-width: 420px;\n}\n.activelabel .al-plot text {\n  fill: #8fa6c4;\n  font-size: 10px;\n}\n.activelabel .al-plot line,\n.activelabel .al-plot polyline,\n.activelabel .al-plot circle {\n  fill: none;\n  stroke: #5acce6;\n  stroke-width: 1.5;\n}\n.activelabel .al-plot .al-axis {\n  stroke: #35547c;\n  stroke-width: 1;\n}\n.activelabel .al-plot .al-interval {\n  stroke-opacity: 0.45;\n}\n.activelabel .al-plot .al-ahead {\n  stroke-dasharray: 4 3;\n}\n.activelabel .al-plot circle.al-model {\n  fill: #5acce6;\n}\n.activelabel-veil {\n  position: fixed;\n  z-index: 20;\n  display: flex;\n  align-items: center;\n  justify-content: center;\n  background: rgb(4 12 24 / 55%);\n  color: #fff;\n  font-size: 18px;\n  cursor: wait;\n}\n";

  // src/panel/panel_older.ts
  var OlderPart = class {
    element;
    text = make("p", { class: "al-quiet" });
    take;
    drop;
    constructor(take, drop) {
      this.take = button("Take them", take, { title: "Draw them over what is open, as one step that can be undone" });
      this.drop = button("Drop them", drop);
      this.element = make("div", { class: "al-column al-older" }, this.text, make("div", { class: "al-row" }, this.take, this.drop));
    }
    show({ older, phase }) {
      this.element.hidden = older === void 0 || phase !== "drawing";
      this.take.hidden = older?.fits !== true;
      this.drop.title = older?.dropped ?? "";
      tell(this.text, older?.text ?? "");
    }
  };

  // src/panel/curve.ts
  var WIDTH = 260;
  var HEIGHT = 110;
  var LEFT = 30;
  var RIGHT = 10;
  var TOP = 8;
  var BOTTOM = 20;
  function effortOf(point, unit) {
    return unit === "slices" ? point.slices : point.volumes;
  }
  function plotOf({ unit, learning_curve, forecast }) {
    const judged = learning_curve.filter(({ dice }) => dice !== null);
    if (judged.length === 0) {
      return void 0;
    }
    const expected = forecast !== null && forecast.expected !== null ? { ...forecast, expected: forecast.expected } : void 0;
    const values = [
      ...judged.flatMap(({ dice, dice_low }) => [dice ?? 0, dice_low ?? dice ?? 0]),
      ...expected === void 0 ? [] : [expected.low ?? expected.expected]
    ];
    const lowest = Math.max(0, Math.floor(10 * Math.min(...values)) / 10);
    const last = Math.max(1, ...judged.map((point) => effortOf(point, unit)), expected?.at ?? 0);
    const x = (effort) => LEFT + (WIDTH - LEFT - RIGHT) * effort / last;
    const y = (dice) => {
      const share = lowest === 1 ? 1 : Math.min(1, Math.max(0, (dice - lowest) / (1 - lowest)));
      return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
    };
    const mark = (effort, dice, low, high) => ({
      x: x(effort),
      y: y(dice),
      low: y(low ?? dice),
      high: y(high ?? dice)
    });
    return {
      models: judged.map((point) => {
        const dice = point.dice ?? 0;
        const title = `model ${point.model_version}: Dice ${dice.toFixed(3)}`;
        return { ...mark(effortOf(point, unit), dice, point.dice_low, point.dice_high), inUse: point.in_use, title };
      }),
      forecast: expected && mark(expected.at, expected.expected, expected.low, expected.high),
      lowest,
      last
    };
  }
  var line = (x1, y1, x2, y2, kind) => `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" class="${kind}"/>`;
  var bar = ({ x, low, high }) => low === high ? "" : line(x, low, x, high, "al-interval");
  var text = (x, y, anchor, content) => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content}</text>`;
  function drawn({ models, forecast, lowest, last }, unit) {
    const base = HEIGHT - BOTTOM;
    const path = models.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const newest = models.at(-1);
    const ahead = forecast && newest ? line(newest.x, newest.y, forecast.x, forecast.y, "al-ahead") : "";
    const dots = models.map(
      ({ x, y, inUse, title }) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${inUse ? 4 : 2.5}" class="al-model"><title>${title}</title></circle>`
    );
    const hollow = forecast ? `<circle cx="${forecast.x.toFixed(1)}" cy="${forecast.y.toFixed(1)}" r="3" class="al-expected"/>` : "";
    return [
      `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Learning curve">`,
      line(LEFT, TOP, LEFT, base, "al-axis"),
      line(LEFT, base, WIDTH - RIGHT, base, "al-axis"),
      text(LEFT - 4, TOP + 8, "end", "1"),
      text(LEFT - 4, base, "end", String(lowest)),
      text(WIDTH - RIGHT, HEIGHT - 6, "end", `${Number(last.toFixed(1))} ${unit === "slices" ? "slices" : "volumes"}`),
      text(LEFT, HEIGHT - 6, "start", "Dice"),
      ...models.map(bar),
      forecast ? bar(forecast) : "",
      `<polyline points="${path}" class="al-curve"/>`,
      ahead,
      ...dots,
      hollow,
      "</svg>"
    ].join("");
  }

  // src/panel/panel_curve.ts
  var CurvePart = class {
    title = "Learning curve";
    element;
    waits = make("p", {});
    plot = make("div", { class: "al-plot" });
    ahead = make("p", { class: "al-quiet" });
    shown;
    constructor() {
      this.element = make("div", { class: "al-column" }, this.waits, this.plot, this.ahead);
    }
    show({ progress }) {
      if (progress === void 0 || progress.curve === this.shown) {
        return;
      }
      this.shown = progress.curve;
      const plot = plotOf(progress.curve);
      this.plot.innerHTML = plot === void 0 ? "" : drawn(plot, progress.curve.unit);
      tell(this.waits, progress.line);
      tell(this.ahead, progress.ahead);
    }
  };

  // src/panel/panel_folded.ts
  var LEAST_PX = 180;
  var MARGIN_PX = 10;
  var Folded = class {
    constructor(parts) {
      this.parts = parts;
      this.heads = parts.map((part) => button(part.title, () => {
        this.open(part.element.hidden ? part : void 0);
      }, { "aria-expanded": "false" }));
      const row = make("div", { class: "al-row al-heads" }, ...this.heads);
      this.body.append(...parts.map(({ element }) => element));
      this.element = make("div", { class: "al-folds" }, row, this.body);
      this.element.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
          const opened = this.heads.find((head) => head.getAttribute("aria-expanded") === "true");
          this.open(void 0);
          opened?.focus();
        }
      });
      this.open(void 0);
    }
    parts;
    element;
    body = make("div", { class: "al-folded" });
    heads;
    show(state) {
      this.parts.forEach((part) => {
        part.show?.(state);
      });
    }
    open(chosen) {
      this.parts.forEach((part, place) => {
        part.element.hidden = part !== chosen;
        this.heads[place]?.setAttribute("aria-expanded", String(part === chosen));
      });
      this.body.hidden = chosen === void 0;
      if (chosen !== void 0) {
        const below = window.innerHeight - this.element.getBoundingClientRect().bottom - MARGIN_PX;
        this.body.style.maxHeight = `${Math.max(LEAST_PX, below)}px`;
        chosen.opened?.();
      }
    }
  };

  // src/panel/panel_reader.ts
  var ReaderPart = class {
    element;
    known = make("p", { class: "al-quiet" });
    field = textField({ maxlength: String(LONGEST_NAME), placeholder: "your name", "aria-label": "Your name" });
    row = make("label", { class: "al-row al-name" }, "You are", this.field);
    constructor(setName) {
      this.field.addEventListener("change", () => {
        setName(this.field.value.trim());
      });
      this.field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
          this.field.blur();
        }
      });
      this.element = make("div", { class: "al-reader" }, this.known, this.row);
    }
    show({ reader, phase }) {
      const free = phase === "free";
      const named = reader !== void 0 && (reader.byLogin || !free);
      this.row.hidden = reader === void 0 || named;
      tell(this.known, named && reader.name !== "" ? `You are ${reader.name}.` : "");
      if (reader !== void 0 && document.activeElement !== this.field) {
        this.field.value = reader.name;
      }
    }
  };

  // src/panel/panel_review.ts
  var TakePart = class {
    element;
    constructor(take) {
      this.element = button("Take the next label", take, { title: "Open the label that has waited longest for a review" });
    }
    show({ reader, phase }) {
      this.element.hidden = reader?.reviews !== true || phase !== "free";
    }
  };
  var ReviewPart = class {
    element;
    note = textField({ placeholder: "note, in one line", "aria-label": "Note" });
    readings;
    hint = make("p", { class: "al-quiet" });
    seen;
    approve;
    merge;
    /** They stand among the buttons of the case. */
    buttons;
    of;
    constructor(actions) {
      const noted = (act) => () => {
        act(this.note.value.trim());
      };
      this.seen = {
        first: button("", () => {
          actions.show("first");
        }, { title: "See the first" }),
        second: button("", () => {
          actions.show("second");
        }, { title: "See the second" })
      };
      this.readings = make("div", { class: "al-row al-both" }, this.seen.first, this.seen.second);
      this.approve = button("Approve", noted((note) => {
        actions.approve(note);
      }), { class: "al-main" });
      this.merge = button("Merge", noted((note) => {
        actions.merge(note);
      }), { title: "One label of both readings, by STAPLE" });
      this.buttons = [
        this.approve,
        this.merge,
        button("Return", noted((note) => {
          actions.returnLabel(note);
        }), { title: "Back to its annotator, who is told the note" }),
        button("Let go", () => {
          actions.release();
        }, { title: "Leave it undecided" })
      ];
      this.element = make("div", { class: "al-column" }, this.hint, this.readings, this.note);
    }
    show(state) {
      const { review, reading, phase } = state;
      const isOpen = review !== null && (phase === "reviewing" || phase === "sending");
      [this.element, ...this.buttons].forEach((part) => {
        part.hidden = !isOpen;
      });
      if (review?.image !== this.of) {
        this.of = review?.image;
        this.note.value = "";
      }
      this.readings.hidden = reading === void 0;
      this.merge.hidden ||= reading === void 0;
      this.showReadings(state);
      this.approve.textContent = approvalOf(state);
      this.buttons.forEach((one) => {
        one.disabled = phase !== "reviewing";
      });
      tell(this.hint, hintOf(state));
    }
    showReadings({ review, reading, phase }) {
      const { first, second } = review?.readings ?? { first: "", second: "" };
      this.seen.first.textContent = `1st: ${first}`;
      this.seen.second.textContent = `2nd: ${second}`;
      for (const which of ["first", "second"]) {
        this.seen[which].disabled = phase !== "reviewing";
        this.seen[which].setAttribute("aria-pressed", String(reading === which));
      }
    }
  };
  function approvalOf({ reading, changed }) {
    if (changed) {
      return "Approve my correction";
    }
    return reading === void 0 ? "Approve" : `Take the ${reading}`;
  }
  function hintOf({ review, reading }) {
    if (reading === void 0 || review?.readings == null) {
      return "Correct it if need be; what you draw is approved with it.";
    }
    return `Two readings differ: ${review.readings.agreement}.`;
  }

  // src/server/progress.ts
  var AGAIN_MS = 3e4;
  function left(seconds) {
    if (seconds === null) {
      return "";
    }
    return seconds < 90 ? `, about ${Math.max(1, Math.round(seconds))} s left` : `, about ${Math.round(seconds / 60)} min left`;
  }
  function shownProgress(progress) {
    const { unit, learning_curve, forecast, advice } = progress;
    const ahead = forecast === null || advice.includes(forecast.sentence) ? advice : `${forecast.sentence} ${advice}`;
    return { ...whatRuns(progress), curve: { unit, learning_curve, forecast }, ahead };
  }
  function whatRuns({
    training,
    scoring,
    waits_for,
    images,
    annotated,
    partly_annotated
  }) {
    const part = partly_annotated > 0 ? `, ${partly_annotated} in part` : "";
    const done = `${annotated} of ${images} cases annotated${part}`;
    if (training.running) {
      const { epoch, epochs } = training;
      const known = epoch !== null && epochs !== null && epochs > 0;
      const place = known ? `: epoch ${epoch} of ${epochs}${left(training.seconds_left)}` : "";
      return { line: `A model is being trained${place}.`, runs: true, done, share: known ? epoch / epochs : void 0 };
    }
    if (scoring.running) {
      const line2 = `Cases are being scored: ${scoring.done} of ${scoring.all} ${scoring.unit}${left(scoring.seconds_left)}.`;
      return { line: line2, runs: true, done, share: scoring.all > 0 ? scoring.done / scoring.all : void 0 };
    }
    return { line: waits_for, runs: false, done, share: void 0 };
  }
  function listenForProgress(address, tell3, casesChange) {
    const events = new EventSource(`${address}/activelabel/events`);
    events.addEventListener("progress", (event) => {
      tell3(shownProgress(JSON.parse(event.data)));
    });
    ["case", "missed"].forEach((kind) => {
      events.addEventListener(kind, casesChange);
    });
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) {
        setTimeout(() => {
          listenForProgress(address, tell3, casesChange);
        }, AGAIN_MS);
      }
    });
  }

  // src/server/absence.ts
  var Another = class extends Error {
    constructor(worker, reader) {
      super(reader.byLogin ? loggedIn(worker, reader) : renamed(worker, reader));
      this.reader = reader;
    }
    reader;
  };
  function loggedIn(worker, reader) {
    return `what this page holds is the work of ${worker.name}, and ${reader.name} has logged in: log in as ${worker.name}`;
  }
  function renamed(worker, reader) {
    const [before, now] = [worker, reader].map(({ name }) => name === "" ? "empty" : name);
    return `what this page holds was begun when the name was ${before}, and it is ${now} since: change it back in the tab in which it was changed`;
  }
  function asksForLogin(error) {
    return error instanceof Refusal && error.status === LOGGED_OUT || error instanceof Another && error.reader.byLogin;
  }
  function isAbsence(error) {
    const isAnother = error instanceof Another || error instanceof Refusal && error.status === ANOTHER_READER;
    return error instanceof Away || isAnother || asksForLogin(error);
  }
  async function requireReader(server, worker) {
    const reader = await server.reader();
    if (worker !== void 0 && reader.name !== worker.name) {
      throw new Another(worker, reader);
    }
    return reader;
  }
  function greetingOf({ byLogin, name }) {
    return byLogin ? `You are logged in as ${name}.` : name === "" ? "You have no name." : `You are ${name}.`;
  }
  function stillHere(others) {
    return others.length === 0 ? "What is drawn here is still there." : `What ${others.join(" and ")} drew here waits until they are back.`;
  }

  // src/session/places.ts
  function differsMost({ grid, values }, other) {
    const [columns, rows, slices] = grid.shape;
    const others = other === void 0 ? void 0 : reordered(other.values, other.grid, grid);
    let most = { count: 0, x: 0, y: 0, slice: 0 };
    for (let slice2 = 0; slice2 < slices; slice2++) {
      const [from, to] = [columns * rows * slice2, columns * rows * (slice2 + 1)];
      const found = { ...differences(values.subarray(from, to), others?.subarray(from, to), columns), slice: slice2 };
      most = found.count > most.count ? found : most;
    }
    const { count, x, y, slice } = most;
    return count === 0 ? void 0 : applied(grid.affine, [x / count, y / count, slice]);
  }
  function differences(values, others, columns) {
    let [count, x, y] = [0, 0, 0];
    for (let place = 0; place < values.length; place++) {
      if (values[place] !== (others === void 0 ? 0 : others[place])) {
        count++;
        x += place % columns;
        y += Math.floor(place / columns);
      }
    }
    return { count, x, y };
  }

  // src/session/reviews.ts
  var REVIEWED = /* @__PURE__ */ new Set(["finished", "in review", "approved"]);
  var Reviews = class {
    constructor(server, session2, viewer) {
      this.server = server;
      this.session = session2;
      this.viewer = viewer;
    }
    server;
    session;
    viewer;
    /** The review that has ended because its reviewer saved a correction: that is a version of its own. */
    ended;
    /** Open a label for review: that of an image, or the one that has waited longest. */
    async take(image) {
      const { phase } = this.session.state;
      if (phase === "opening" || phase === "sending") {
        return;
      }
      await this.session.tries.attempt(async () => {
        const reader = await this.session.greet();
        const review = await this.server.of(reader).review(image);
        if (review === null) {
          this.session.set({ message: { kind: "good", text: "No label waits for your review." } });
          return;
        }
        if (this.session.state.labels.length === 0) {
          await this.session.knowProject();
        }
        this.session.set({ message: void 0 });
        const sample = await this.server.imageInfo(review.image);
        this.session.goTo(sample, (shown, givenUp) => this.open(reader, review, shown, givenUp));
      });
    }
    /** Open a case of the worklist: its label for review, the case that the reader holds, or the image alone. */
    async lookAt({ image, name, state, who }) {
      const { phase, reader, query } = this.session.state;
      if (phase === "opening" || phase === "sending" || !this.mayDrop()) {
        return;
      }
      this.session.names.note(image, name);
      if (REVIEWED.has(state) && mayReview(reader, state, who)) {
        await this.take(image);
        return;
      }
      await this.session.tries.attempt(async () => {
        const sample = await this.server.imageInfo(image);
        this.session.goTo(sample, async (shown, givenUp) => {
          if (query?.image === image) {
            await this.session.openQuery(shown, givenUp);
          } else {
            this.session.arrive(`You look at ${name}. What is drawn here is not kept.`);
          }
        });
      });
    }
    /** Approve what is shown: the label, one of two readings, or the reviewer's correction, which is saved first. */
    async approve(note) {
      const { reading } = this.session.state;
      await this.decide(async (review, open, server) => {
        if (reading !== void 0 && !open.drawing.changed) {
          await server.adjudicate(review.image, reading, note);
          return `approved: the ${reading} reading`;
        }
        if (open.drawing.changed) {
          const covered = review.slices === null ? {} : { annotated_slices: review.slices };
          if (!await this.session.finish(open, { finished: true, confirmed: true, ...covered })) {
            return void 0;
          }
          this.ended = review;
          this.session.set({ reading: void 0 });
        }
        if (this.ended !== review) {
          await server.approve(review.image, review.version, note);
          return "approved";
        }
        const again = await server.review(review.image) ?? review;
        this.session.set({ review: again });
        await server.approve(again.image, again.version, note);
        return "approved";
      });
    }
    /** Return the label to its annotator, who has to be told why. */
    async returnLabel(note) {
      if (note === "") {
        this.session.set({ message: { kind: "bad", text: "Write in the note what the annotator should correct." } });
        return;
      }
      if (this.mayDrop()) {
        await this.decide(async (review, _, server) => {
          await server.returnLabel(review.image, review.version, note);
          return "returned";
        });
      }
    }
    /** Merge two readings that differ into one label. */
    async merge(note) {
      if (this.mayDrop()) {
        await this.decide(async (review, _, server) => {
          await server.adjudicate(review.image, "staple", note);
          return "approved: both readings, merged";
        });
      }
    }
    /** Let go of the label without a decision. */
    async release() {
      if (this.mayDrop()) {
        await this.decide(async (_, __, server) => {
          await server.release();
          return "left undecided";
        });
      }
    }
    /** Whether a correction may be given up: there is none, or the reviewer was asked and has pressed again. */
    mayDrop() {
      const { review, asks } = this.session.state;
      if (review === null || this.session.drawing?.changed !== true || asks.includes("drop")) {
        return true;
      }
      this.session.set({ asks: [...asks, "drop"], message: { kind: "bad", text: "Your correction is not kept by this. Press again to give it up." } });
      return false;
    }
    /** Show one of two readings. What the reviewer has drawn is given up, so they are asked to decide first. */
    async show(reading) {
      const { review, phase } = this.session.state;
      if (review === null || phase !== "reviewing" || !this.mayDrop()) {
        return;
      }
      const { open } = this.session;
      const left2 = () => this.session.open !== open;
      this.session.set({ phase: "opening", comes: "reading", message: void 0 });
      await this.session.tries.attempt(async () => {
        const mask = await readMask(await this.server.label(review.image, reading === "first" ? "final" : "reading_2"));
        if (left2()) {
          return;
        }
        if (!this.mayDrop()) {
          this.session.set({ phase: "reviewing" });
          return;
        }
        open?.drawing.remove();
        if (open !== void 0 && await this.session.draw(open.reader, review.image, mask, left2)) {
          this.session.set({ phase: "reviewing", reading, message: void 0 });
        }
      }, left2);
    }
    async open(reader, review, sample, givenUp) {
      const differs = review.readings !== null;
      const [mask, other] = await Promise.all([
        this.server.label(review.image).then(readMask),
        differs ? this.server.label(review.image, "reading_2").then(readMask) : void 0
      ]);
      if (givenUp() || !await this.session.draw(reader, review.image, mask, givenUp)) {
        return;
      }
      const from = differs ? "" : `Version ${review.version}, by ${review.annotator}.`;
      const reading = differs ? "first" : void 0;
      this.session.set({ phase: "reviewing", review, reading, name: nameOf(sample), from, slice: 0, done: [] });
      if (review.covered.length > 0) {
        this.viewer.jump({ image: review.image, plane: review.plane, slices: review.covered }, 0);
        return;
      }
      const point = differsMost(mask, other);
      if (point !== void 0) {
        this.viewer.lookAt(review.image, point);
      }
    }
    /** Do something about the label under review, and take it out of the view. */
    async decide(how) {
      const { review, phase, name } = this.session.state;
      const { open } = this.session;
      if (review === null || open === void 0 || phase !== "reviewing") {
        return;
      }
      this.session.set({ phase: "sending", message: void 0 });
      await this.session.tries.attempt(async () => {
        await requireReader(this.server, open.reader);
        const outcome = await how(review, open, this.server.of(open.reader));
        if (outcome === void 0) {
          this.session.set({ phase: "reviewing" });
          return;
        }
        open.drawing.remove();
        this.session.forget();
        const message = { kind: "good", text: `${name}: ${outcome}.` };
        this.session.set({ phase: "free", review: null, reading: void 0, message });
        this.session.set({ query: await this.server.query() });
        this.session.set({ progress: shownProgress(await this.server.progress()) });
      });
    }
  };
  function mayReview(reader, state, who) {
    const { reviews, name } = reader ?? { reviews: false, name: "" };
    return reviews && name !== "" && !(state === "finished" && who.includes(name));
  }

  // src/session/activity.ts
  var AT_WORK_MS = 3e4;
  var HEARTBEAT_SECONDS = 15;
  var MOST_SECONDS = 600;
  var Activity = class {
    latest;
    milliseconds = 0;
    /** Note input at a time in milliseconds. */
    note(now) {
      if (this.latest !== void 0 && now - this.latest <= AT_WORK_MS) {
        this.milliseconds += now - this.latest;
      }
      this.latest = now;
    }
    /** Seconds at work that were not taken yet. */
    get seconds() {
      return this.milliseconds / 1e3;
    }
    /** Take the seconds, which begin at 0 again. */
    take() {
      const seconds = this.seconds;
      this.milliseconds = 0;
      return seconds;
    }
    /**
     * Tell the seconds, if there are any. Those that a server did not hear, because it is gone or takes the page for another reader's, count again. One that refuses
     * them has given the case to somebody else: that is said when the drawing is saved.
     */
    async tell(say) {
      const seconds = Math.min(MOST_SECONDS, this.take());
      try {
        await (seconds > 0 && say(seconds));
      } catch (error) {
        this.milliseconds += isAbsence(error) ? 1e3 * seconds : 0;
        if (!(error instanceof Refusal && error.status === NOT_HELD)) {
          throw error;
        }
      }
    }
  };

  // src/session/attempts.ts
  var Attempts = class {
    constructor(work) {
      this.work = work;
    }
    work;
    /** Why nothing can be sent, if that ends by itself: the server does not answer, or does not take the page for its reader's. */
    away;
    /** Do what the reader has asked for. If it goes wrong, they may ask for something else. */
    async attempt(what, givenUp = () => false) {
      try {
        await what();
      } catch (error) {
        if (givenUp()) {
          return;
        }
        this.say(error);
        const back = this.work.state.review === null ? "drawing" : "reviewing";
        this.work.set({ phase: this.work.drawing === void 0 ? "free" : back });
      }
    }
    /** Do something that the reader has not asked for: whatever becomes of it, what they did ask for goes on. */
    async beside(what) {
      await what().catch((error) => {
        this.say(error);
      });
    }
    say(error) {
      this.away = !isAbsence(error) ? void 0 : error instanceof Away ? "server" : "reader";
      const text2 = this.work.names.within(error instanceof Error ? error.message : String(error));
      this.work.set({ message: { kind: "bad", text: text2, ...asksForLogin(error) && { login: true } } });
    }
  };

  // src/viewer/waiting.ts
  var LONGEST_MS2 = 12e4;
  var BETWEEN_MS = 50;
  async function until(look, what, givenUp = () => false) {
    const end = performance.now() + LONGEST_MS2;
    for (; ; ) {
      const found = look();
      if (found !== void 0) {
        return found;
      }
      if (givenUp() || performance.now() > end) {
        throw new Error(`the viewer does not show ${what}`);
      }
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
    }
  }

  // src/session/beginning.ts
  var NO_SUCH_MODEL_YET = 409;
  var Ahead = class {
    constructor(server) {
      this.server = server;
    }
    server;
    begun;
    /** The reader is given a case, which the viewer opens next. Returns it. */
    begin(query) {
      this.begun = void 0;
      if (query?.draft === false && query.returned === null) {
        const mask = this.server.prediction(query.image);
        const begun = { image: query.image, mask, at: performance.now() };
        this.begun = begun;
        mask.catch(() => {
          if (this.begun === begun) {
            this.begun = void 0;
          }
        });
      }
      return query;
    }
    /** The mask of an image, which is asked for now unless it was just before: a viewer may enter a study twice. */
    take(image) {
      const { begun } = this;
      const isNew = begun?.image === image && performance.now() - begun.at < LONGEST_MS2;
      return isNew ? begun.mask : this.server.prediction(image);
    }
  };
  async function beginning(server, ahead, query) {
    if (query.draft) {
      return [await readMask(await server.draft(query.image)), "You draw on your draft."];
    }
    if (query.returned !== null) {
      return [await readMask(await server.label(query.image)), "You draw on the label that was returned."];
    }
    try {
      return [await readMask(await ahead.take(query.image)), "You draw over what the model draws."];
    } catch (error) {
      if (error instanceof Refusal && error.status === NO_SUCH_MODEL_YET) {
        return [void 0, "There is no model yet: you draw on the bare image."];
      }
      throw error;
    }
  }

  // src/session/case_names.ts
  var CaseNames = class {
    names = /* @__PURE__ */ new Map();
    /** Note the name of an image, and return it. */
    note(image, name) {
      this.names.set(image, name);
      return name;
    }
    /** A line of the server with names in place of the ids of images, as far as they are known. */
    within(line2) {
      return line2.replace(/image '([^']+)'/g, (whole, image) => this.names.get(image) ?? whole);
    }
  };

  // src/session/drafts.ts
  var DRAFT_AFTER_MS = 3e4;
  var Drafts = class {
    constructor(work, outbox, marks, clock) {
      this.work = work;
      this.outbox = outbox;
      this.marks = marks;
      this.clock = clock;
    }
    work;
    outbox;
    marks;
    clock;
    changedAt;
    /** What the panel says about a draft that was not kept. */
    trouble;
    /** Something was drawn, or a drawing was not kept: a draft of it is due in a while. */
    changes() {
      this.changedAt ??= this.clock();
    }
    /** No draft is due: nothing is open, or it is as it was kept. */
    forget() {
      this.changedAt = void 0;
    }
    /** Keep a draft if one is due. */
    async keepDue() {
      if (this.changedAt !== void 0 && this.clock() - this.changedAt >= DRAFT_AFTER_MS) {
        await this.keep();
      }
    }
    /** Keep the marks of slices, and before that a draft of what they are about: no mark is kept without its drawing. */
    async keepMarks() {
      const { query, reader, done } = this.work.state;
      if (this.work.open?.drawing.changed === true) {
        await this.keep();
      } else if (query !== null) {
        this.marks.keep(query, reader?.name, done);
      }
    }
    /** Keep what a reader has drawn on cases that were left. What the server does not take is tried again when it answers. */
    async keepLeft(reader, more) {
      await this.outbox.keepLeft((what) => this.work.tries.beside(what), reader, more);
      this.work.set({ waits: this.outbox.waits });
    }
    async keep() {
      const { open } = this.work;
      const { message: before } = this.work.state;
      let kept = false;
      this.changedAt = void 0;
      await this.work.tries.beside(async () => {
        await (open?.drawing.changed === true && this.outbox.keep(open));
        kept = true;
        if (open !== void 0 && this.work.open === open) {
          this.work.set({ kept: (/* @__PURE__ */ new Date()).toLocaleTimeString(), changed: open.drawing.changed });
          const { query, reader, done } = this.work.state;
          if (query !== null) {
            this.marks.keep(query, reader?.name, done);
          }
        }
      });
      this.say(before, kept);
    }
    /** What went wrong with a draft is no longer true once one is kept. */
    say(before, kept) {
      const { message } = this.work.state;
      if (!kept && message !== before) {
        this.trouble = message;
      } else if (kept && message !== void 0 && message === this.trouble) {
        this.work.set({ message: void 0 });
      }
    }
  };

  // src/session/older.ts
  var Older = class {
    constructor(work, journal) {
      this.work = work;
      this.journal = journal;
    }
    work;
    journal;
    offered;
    /**
     * Look for strokes on the case that has opened. The latest that were drawn on the same are drawn again; all others are
     * offered, so that nothing is painted over unseen: also those of which it is not known in which project. Returns a sentence about it, after a space.
     */
    async look() {
      const { open } = this.work;
      const kept = open === void 0 ? [] : await this.journal.left([this.work.state.project, open.reader.name, open.image]);
      if (open === void 0 || open !== this.work.open) {
        return "";
      }
      const { labels, project } = this.work.state;
      const same = kept.findLast((one) => isOf(project, one) && hasLabels(one, labels) && one.digests.includes(open.drawing.opened));
      const isFirst = !open.drawing.changed;
      const again = isFirst && same !== void 0 && this.draw(open, same);
      this.offer(open, isFirst ? kept.filter((one) => one !== same) : kept);
      return again ? " What you drew last, before the page ended, is there again; Undo takes it back." : "";
    }
    /** Draw what is offered over what is open, as one step. */
    take() {
      this.decide((open, kept) => this.draw(open, kept));
    }
    /** Give up what is offered. */
    drop() {
      this.decide((_, kept) => {
        this.journal.drop(kept, this.work.state.project);
      });
    }
    decide(how) {
      const { offered, work } = this;
      const latest = offered?.kept.at(-1);
      if (offered === void 0 || latest === void 0 || offered.open !== work.open || work.state.phase !== "drawing") {
        return;
      }
      how(offered.open, latest);
      this.offer(offered.open, offered.kept.slice(0, -1));
    }
    /** They belong to this opening then. Returns whether anything changes. */
    draw({ drawing }, { slices, place }) {
      const changes = drawing.restore(slices);
      this.journal.remove(place);
      return changes;
    }
    offer(open, kept) {
      this.offered = { open, kept };
      const latest = kept.at(-1);
      this.work.set({ older: latest && offerOf(latest, this.work.state) });
    }
  };
  function hasLabels({ labels }, now) {
    return JSON.stringify(labels) === JSON.stringify(now);
  }
  function offerOf(kept, { labels }) {
    const fits = hasLabels(kept, labels);
    const isUnknown = isOfUnknown(kept);
    const here = isUnknown ? "" : " on another drawing than the one that has opened";
    const on = fits ? here : ` for other structures (${kept.labels.join(", ")})`;
    const when = isUnknown ? " before this page told projects apart: they may be of another project" : "";
    return {
      text: `Older strokes of yours are kept on this computer, of ${new Date(kept.at).toLocaleString()}, drawn${on}${when}.`,
      fits,
      dropped: isUnknown ? "They are not offered in this project again, and stay for others until a week after they were drawn" : "They are lost then"
    };
  }

  // src/session/questions.ts
  var ELSEWHERE = "You no longer hold this case: its time has run out, it was saved in another tab, or it is somebody else’s now. Press again to save what is drawn here all the same.";
  function questionOf(query, empty, { asks, done }) {
    if (!asks.includes("empty") && query.kind === "volume" && empty) {
      return { asks: "empty", text: "Nothing is drawn. Press again if the image holds none of the structures." };
    }
    const asked = query.slices.length;
    if (!asks.includes("some") && done.length > 0 && done.length < asked) {
      const text2 = `${done.length} of the ${asked} slices that are asked for are marked as done. Press again to save only these.`;
      return { asks: "some", text: text2 };
    }
    return void 0;
  }
  function coveredBy(query, done) {
    const marked = query.slices.filter((_, place) => done.includes(place)).map(({ index }) => index);
    return marked.length > 0 ? { annotated_slices: marked } : {};
  }
  async function isStillTheirs(server, open) {
    return (await server.query())?.image === open.image || open.unanswered !== void 0 && await isOf2(server, open);
  }
  async function isSavedUnheard(server, open) {
    return (await server.query())?.image !== open.image && isOf2(server, open);
  }
  async function isOf2(server, { image, reader }) {
    return reader.name !== "" && await server.labelledBy(image) === reader.name;
  }

  // src/session/outbox.ts
  var Outbox = class {
    constructor(server, onRefusal) {
      this.server = server;
      this.onRefusal = onRefusal;
    }
    server;
    onRefusal;
    sending = Promise.resolve();
    /** Cases that were left, whose drawings the server has not kept yet. */
    left = [];
    /** Those of them that are being sent. */
    onTheWay = /* @__PURE__ */ new Set();
    /** Whether drawings of cases that were left wait for the server. */
    get waits() {
      return this.left.length > 0;
    }
    /** The other readers than this one whose drawings are among them. */
    awaits(reader) {
      return [...new Set(this.left.map((open) => open.reader.name))].filter((name) => name !== reader?.name);
    }
    /** When everything that was sent is answered. */
    idle() {
      return this.sending;
    }
    /** Save a case as finished, with what is drawn meanwhile; what is drawn after that belongs to it too. */
    async finish(open, how) {
      const save = () => this.send(open, (mask, info) => this.server.of(open.reader).save(open.image, mask, { ...info, ...how }));
      let saved = await save().catch((error) => {
        if (error instanceof Away) {
          open.unanswered = how;
        }
        throw error;
      });
      while (saved.state === "finished" && open.drawing.changed) {
        saved = await save();
      }
      if (saved.state === "finished") {
        open.finished = how;
        this.giveUp(open.reader, open.image, open);
      }
      return saved;
    }
    /**
     * Skip a case, after everything that was sent of it is answered. What waits of it does not bring it back, nor a draft of what
     * is `open` that was begun before and asks something first.
     */
    skip(reader, image, open, how) {
      const skipped = this.sending.then(async () => {
        await how();
        this.giveUp(reader, image);
        if (open?.image === image) {
          open.givenUp = true;
        }
      });
      this.sending = skipped.catch(() => void 0);
      return skipped;
    }
    /** Send no more of what was left of a case, but of this opening. */
    giveUp(reader, image, but) {
      const isIt = (open) => open !== but && open.image === image && open.reader.name === reader.name;
      [...this.onTheWay, ...this.left].filter(isIt).forEach((open) => {
        open.givenUp = true;
      });
      this.left.splice(0, this.left.length, ...this.left.filter((open) => open.givenUp !== true));
    }
    /** Keep what is drawn: with the label of a case that is finished, else as a draft. */
    async keep(open) {
      const { unanswered } = open;
      if (open.finished === void 0 && unanswered !== void 0 && await isSavedUnheard(this.server, open)) {
        open.finished = unanswered;
      }
      if (open.finished !== void 0) {
        await this.finish(open, open.finished);
        return;
      }
      const more = unanswered === void 0 ? {} : { unanswered: true };
      const saved = await this.send(open, (mask, info) => this.server.of(open.reader).saveDraft(open.image, mask, { ...info, ...more }));
      if (saved.state === "finished" && unanswered !== void 0) {
        open.finished = unanswered;
      }
    }
    /** Keep what a reader has drawn on cases that were left. What is another's waits for them. */
    async keepLeft(attempt, reader, more) {
      this.left.push(...more === void 0 ? [] : [more]);
      for (const open of this.left.splice(0)) {
        this.onTheWay.add(open);
        if (open.reader.name === reader.name) {
          await attempt(() => this.keep(open));
        }
        this.onTheWay.delete(open);
        if (open.drawing.changed && open.givenUp !== true) {
          this.left.push(open);
        }
      }
    }
    /** Who is logged in is asked right before, so that a reader is told what to do; the server compares it once more. */
    async send(open, how) {
      const { drawing, reader, strokes } = open;
      const sent = this.sending.then(async () => {
        if (open.givenUp === true) {
          return { state: "draft" };
        }
        const { mask, label_info, digest } = await drawing.file();
        strokes.sent(digest);
        try {
          await requireReader(this.server, reader);
          const saved = await how(mask, { label_info });
          strokes.saved(digest, drawing.changed);
          return saved;
        } catch (error) {
          drawing.notKept();
          this.onRefusal();
          throw error;
        }
      });
      this.sending = sent.catch(() => void 0);
      return sent;
    }
  };

  // src/session/rounds.ts
  var Rounds = class {
    constructor(work, server, outbox, activity) {
      this.work = work;
      this.server = server;
      this.outbox = outbox;
      this.activity = activity;
    }
    work;
    server;
    outbox;
    activity;
    under = false;
    /** Do what is due. While that is still being done, nothing: a silent server answers after many seconds, or not at all. */
    async tick() {
      if (!this.under) {
        this.under = true;
        await this.doDue().finally(() => {
          this.under = false;
        });
      }
    }
    async doDue() {
      const { work, outbox } = this;
      if (work.tries.away !== void 0) {
        await work.tries.beside(() => this.comeBack());
        return;
      }
      if (outbox.awaits(work.state.reader).length > 0) {
        await work.tries.beside(async () => {
          await work.drafts.keepLeft(await (work.open === void 0 ? work.greet() : this.server.reader()));
        });
      }
      if (work.state.phase !== "drawing" || work.state.query === null) {
        return;
      }
      await work.drafts.keepDue();
      if (this.activity.seconds >= HEARTBEAT_SECONDS) {
        const { query } = work.state;
        await work.tries.beside(() => work.tellActive(query));
      }
    }
    /** Look whether the reader can go on, and go on. */
    async comeBack() {
      const { work } = this;
      const reader = await requireReader(this.server, work.open?.reader);
      const text2 = work.tries.away === "server" ? "The server answers again." : greetingOf(reader);
      work.tries.away = void 0;
      work.set({ message: { kind: "good", text: `${text2} ${stillHere(this.outbox.awaits(reader))}` } });
      await work.drafts.keepLeft(reader);
      if (work.open === void 0 && work.state.phase !== "sending") {
        await work.enter();
      }
    }
  };

  // src/session/session.ts
  var Session = class {
    constructor(server, viewer, onChange, marks, journal, clock = () => performance.now()) {
      this.server = server;
      this.viewer = viewer;
      this.onChange = onChange;
      this.marks = marks;
      this.journal = journal;
      this.clock = clock;
      this.ahead = new Ahead(server);
      this.outbox = new Outbox(server, () => {
        this.drafts.changes();
      });
      this.drafts = new Drafts(this, this.outbox, marks, clock);
      this.older = new Older(this, journal);
      this.rounds = new Rounds(this, server, this.outbox, this.activity);
    }
    server;
    viewer;
    onChange;
    marks;
    journal;
    clock;
    now = BEGINNING;
    activity = new Activity();
    ahead;
    /** How often a study was entered or left: what was begun before is given up. */
    entered = 0;
    coming;
    outbox;
    rounds;
    drafts;
    older;
    names = new CaseNames();
    tries = new Attempts(this);
    /** The case that is drawn on. */
    open;
    get state() {
      return this.now;
    }
    get drawing() {
      return this.open?.drawing;
    }
    set(change) {
      this.now = { ...this.now, ...change };
      this.onChange(this.now);
    }
    /** A study is being shown: go on with the case that was asked for, or with the one that the reader holds, if it is this. */
    async enter() {
      const entered = ++this.entered;
      const givenUp = () => this.entered !== entered;
      await this.tries.attempt(async () => {
        if (this.coming !== void 0) {
          await this.coming.open(this.coming.sample, givenUp);
          return;
        }
        await this.greet();
        await this.knowProject();
        this.set({ phase: "free", review: null, query: await this.server.query() });
        const shown = await this.viewer.shown(givenUp);
        if (this.now.query?.image === shown && !givenUp()) {
          await this.openQuery(await this.server.imageInfo(shown), givenUp);
        }
      }, givenUp);
    }
    /** The study is being left: what is not saved is kept, as a draft or with the case that was finished. */
    async leave() {
      this.entered++;
      const { open } = this;
      this.forget();
      if (open?.drawing.changed === true) {
        this.set({ waits: true });
        await this.drafts.keepLeft(open.reader, open);
      }
    }
    /** Ask for the next case, and open it. */
    async next() {
      this.set({ phase: "opening", comes: "case", message: void 0, asks: [] });
      await this.tries.attempt(async () => {
        if (this.now.labels.length === 0) {
          await this.knowProject();
        }
        const sample = await this.server.next();
        if (sample === void 0) {
          await this.putAway();
          this.set({ phase: "free", query: null, message: { kind: "good", text: "No case is left to annotate." } });
          return;
        }
        this.set({ phase: "opening", query: this.ahead.begin(await this.server.query()) });
        this.goTo(sample, this.openQuery);
      });
    }
    /** Show a study, and do something then. What is drawn until then is kept with its own case. */
    goTo(sample, open) {
      this.set({ phase: "opening", comes: "case", name: this.names.note(sample.id, nameOf(sample)) });
      this.coming = { sample, open };
      this.viewer.show(sample);
    }
    /** The viewer shows a case that is only looked at. */
    arrive(text2) {
      this.coming = void 0;
      this.set({ phase: "free", review: null, message: { kind: "plain", text: text2 } });
    }
    /** Ask what the project is. */
    async knowProject() {
      const { id, labels } = await this.server.project();
      this.marks.belongTo(id);
      this.set({ project: id, labels });
    }
    /** Ask who the reader is, and show it. */
    async greet() {
      const reader = await this.server.reader();
      this.set({ reader });
      return reader;
    }
    /** Have a reader draw on a series that the viewer shows, over a mask if there is one. Returns false if it was given up. */
    async draw(reader, image, mask, givenUp) {
      const drawing = await this.viewer.open(image, this.now.labels, mask, (slices) => {
        this.noteStroke(slices);
      }, givenUp);
      if (givenUp()) {
        drawing.close();
        return false;
      }
      this.forget();
      this.coming = void 0;
      const strokes = this.journal.begin([this.now.project, reader.name, image], this.now.labels, drawing.opened);
      this.open = { drawing, image, reader, strokes };
      return true;
    }
    /** Keep what is still to be kept of the open case, and take its drawing out of the view. */
    async putAway() {
      const { open } = this;
      while (open?.drawing.changed === true) {
        await this.outbox.keep(open);
      }
      this.forget();
      open?.drawing.remove();
    }
    /** Save the drawing as finished, and open the next case. Asks first whether an empty drawing is meant. */
    async saveAndNext() {
      const { open, now } = this;
      const { query } = now;
      if (open === void 0 || query === null || now.phase !== "drawing") {
        return;
      }
      const saved = open.finished !== void 0 && !open.drawing.changed;
      const question = saved ? void 0 : questionOf(query, open.drawing.empty, now);
      if (question !== void 0) {
        this.set({ asks: [...now.asks, question.asks], message: { kind: "bad", text: question.text } });
        return;
      }
      this.set({ phase: "sending", message: void 0 });
      await this.tries.attempt(async () => {
        if (!saved) {
          await this.tellActive(query);
        }
        if (!now.asks.includes("elsewhere") && !saved && !await isStillTheirs(this.server, open)) {
          this.set({ phase: "drawing", asks: [...this.now.asks, "elsewhere"], message: { kind: "bad", text: ELSEWHERE } });
          return;
        }
        const confirmed = now.asks.includes("confirm") ? { confirmed: true } : {};
        const how = { finished: true, ...confirmed, ...coveredBy(query, now.done) };
        if (saved || await this.finish(open, how)) {
          this.marks.keep(query, now.reader?.name, []);
          await this.next();
        }
      });
    }
    /** Skip the case, and open the next one. */
    async skip(kind, reason) {
      const { query, phase: before } = this.now;
      if (query === null) {
        return;
      }
      this.set({ phase: "sending", message: void 0 });
      await this.tries.attempt(async () => {
        await this.outbox.idle();
        const reader = await requireReader(this.server, this.open?.reader ?? this.now.reader);
        await this.outbox.skip(reader, query.image, this.open, () => this.server.of(reader).skip(query.image, kind, reason));
        if (kind === "cannot be annotated") {
          this.marks.keep(query, this.now.reader?.name, []);
        }
        this.journal.forget([this.now.project, reader.name, query.image]);
        this.drawing?.remove();
        this.forget();
        await this.next();
      });
      if (this.now.phase === "sending") {
        this.set({ phase: before });
      }
    }
    /** Undo or redo a stroke. */
    retrace(how) {
      if (this.now.phase === "drawing" || this.now.phase === "reviewing") {
        this.drawing?.[how]();
      }
    }
    /** The reader moved the mouse or pressed a key. */
    noteInput() {
      this.activity.note(this.clock());
    }
    /** To be called every few seconds: keeps a draft, tells how long the reader was at work, and looks for a lost server. */
    tick() {
      return this.rounds.tick();
    }
    /** Save as finished, with what is drawn meanwhile. Returns false if the server takes it for a draft. */
    async finish(open, how) {
      const saved = await this.outbox.finish(open, how);
      if (saved.state === "draft") {
        const text2 = `${saved.message ?? "kept as a draft"} Press again to confirm it.`;
        this.set({ phase: "drawing", asks: [...this.now.asks, "confirm"], message: { kind: "bad", text: text2 } });
      }
      return saved.state === "finished";
    }
    /** Open the case that the reader holds, with what they have drawn on it. */
    openQuery = async (sample, givenUp) => {
      this.set({ phase: "opening", comes: "case", message: void 0, name: this.names.note(sample.id, nameOf(sample)) });
      await this.outbox.idle();
      const reader = await this.greet();
      const query = await this.server.query();
      if (query?.image !== sample.id) {
        this.coming = void 0;
        this.set({ phase: "free", query, message: { kind: "bad", text: "The case is no longer yours. Ask for the next one." } });
        return;
      }
      const [mask, from] = await beginning(this.server.of(reader), this.ahead, query);
      if (givenUp() || !await this.draw(reader, sample.id, mask, givenUp)) {
        return;
      }
      this.activity.take();
      const done = this.marks.of(query, this.now.reader?.name);
      const slice = Math.max(0, query.slices.findIndex((_, place) => !done.includes(place)));
      const again = await this.older.look();
      if (givenUp()) {
        return;
      }
      this.set({ phase: "drawing", query, review: null, from: `${from}${again}`, slice, done });
      if (query.slices.length > 0) {
        this.viewer.jump(query, slice);
      }
    };
    noteStroke(slices) {
      const { drawing, open } = this;
      if (drawing !== void 0 && open !== void 0) {
        if (this.now.review === null) {
          open.strokes.note(slices);
        }
        if (drawing.changed) {
          this.drafts.changes();
        } else {
          this.drafts.forget();
          open.strokes.forget();
        }
        this.set({ changed: drawing.changed, canUndo: drawing.canUndo, canRedo: drawing.canRedo, asks: [] });
      }
    }
    async tellActive(query) {
      const reader = await requireReader(this.server, this.open?.reader);
      await this.activity.tell((seconds) => this.server.of(reader).active(query.image, seconds));
    }
    forget() {
      const { open } = this;
      this.open = void 0;
      open?.drawing.close();
      this.drafts.forget();
      const { waits } = this.outbox;
      const nothing = { canUndo: false, canRedo: false, kept: void 0, older: void 0 };
      this.set({ changed: false, waits, ...nothing, asks: [], from: "", overlay: "none" });
    }
  };

  // src/session/pages.ts
  var CHANNEL = "activelabel";
  var LOCK = "activelabel page ";
  var ANSWER_MS2 = 5e3;
  function openPages() {
    const { locks } = navigator;
    return locks === void 0 ? new HeardPages() : new LockedPages(locks);
  }
  var LockedPages = class {
    constructor(locks) {
      this.locks = locks;
      this.held = new Promise((resolve, reject) => {
        locks.request(LOCK + this.own, () => {
          resolve();
          return new Promise(() => void 0);
        }).catch(reject);
      });
      this.held.catch(() => void 0);
    }
    locks;
    own = newName();
    held;
    async others() {
      await this.held;
      const { held = [] } = await this.locks.query();
      const pages = held.flatMap(({ name }) => name?.startsWith(LOCK) === true ? [name.slice(LOCK.length)] : []);
      return new Set(pages.filter((name) => name !== this.own));
    }
  };
  var HeardPages = class {
    own = newName();
    channel = new BroadcastChannel(CHANNEL);
    constructor() {
      this.channel.addEventListener("message", ({ data }) => {
        if ("asks" in data) {
          this.say({ isOpen: this.own });
        }
      });
    }
    async others() {
      const found = /* @__PURE__ */ new Set();
      const hear = ({ data }) => {
        if ("isOpen" in data) {
          found.add(data.isOpen);
        }
      };
      this.channel.addEventListener("message", hear);
      this.say({ asks: this.own });
      await new Promise((resolve) => setTimeout(resolve, ANSWER_MS2));
      this.channel.removeEventListener("message", hear);
      return found;
    }
    say(what) {
      this.channel.postMessage(what);
    }
  };
  function newName() {
    return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
  }

  // src/session/shelf.ts
  var DATABASE = "activelabel";
  var VERSION = 3;
  var WITHOUT_PROJECT = 2;
  var STORE = "strokes";
  var BY_TIME = "at";
  var KEPT_MS = 7 * 24 * 3600 * 1e3;
  var HEAD = -1;
  function addProject(store) {
    const moving = store.openCursor();
    let opening;
    const leaveOut = (key, why) => {
      console.warn("a record of strokes of an earlier version is left out:", key, why);
    };
    moving.onsuccess = () => {
      const { result: cursor } = moving;
      if (cursor === null) {
        return;
      }
      const { key } = cursor;
      const one = cursor.value;
      cursor.delete();
      const head = isOldHead(key, one) ? one : void 0;
      opening = head === void 0 ? opening : keysIn(head.place);
      if (opening?.includes(key) === true && Array.isArray(key)) {
        const put = store.put(head === void 0 ? one : { ...head, place: [UNKNOWN, ...head.place] }, [UNKNOWN, ...key]);
        put.onerror = (event) => {
          event.preventDefault();
          opening = head === void 0 ? opening : void 0;
          leaveOut(key, put.error);
        };
      } else {
        leaveOut(key, "it is none");
      }
      cursor.continue();
    };
  }
  function isOldHead(key, one) {
    const { place, at: at2, labels, digests } = Object(one);
    const hasAll = Array.isArray(place) && place.length === 4 && typeof at2 === "number" && Array.isArray(labels) && Array.isArray(digests);
    return hasAll && indexedDB.cmp(key, [...place, HEAD]) === 0;
  }
  var keysIn = (place) => IDBKeyRange.bound(place, [...place, []]);
  var isHead = (one) => "at" in one;
  function reasonOf3(error) {
    return error ?? new Error("it gives no reason");
  }
  var BrowserShelf = class {
    constructor(request = () => indexedDB.open(DATABASE, VERSION)) {
      this.request = request;
    }
    request;
    opened;
    put(place, { labels, digests }, slices) {
      const head = { place, labels, digests, at: Date.now() };
      return this.change((store) => {
        store.put(head, [...place, HEAD]);
        slices.forEach((slice) => {
          store.put(slice, [...place, slice.start]);
        });
      });
    }
    async of(place) {
      const all = await this.read((store) => store.getAll(keysIn(place)));
      const kept = [];
      for (const one of all) {
        if (isHead(one)) {
          kept.push({ ...one, slices: [] });
        } else {
          kept.at(-1)?.slices.push(one);
        }
      }
      return kept.sort((one, other) => one.at - other.at);
    }
    decline(place, project) {
      return this.change((store) => {
        const key = [...place, HEAD];
        const reading = store.get(key);
        reading.onsuccess = () => {
          const { result: head } = reading;
          if (head !== void 0) {
            store.put({ ...head, declined: [...head.declined ?? [], project] }, key);
          }
        };
      });
    }
    remove(place) {
      return this.change((store) => {
        store.delete(keysIn(place));
      });
    }
    /** Remove what nobody has come back for. */
    async purge() {
      const old = IDBKeyRange.upperBound(Date.now() - KEPT_MS);
      const heads = await this.read((store) => store.index(BY_TIME).getAll(old));
      if (heads.length > 0) {
        await this.change((store) => {
          heads.forEach(({ place }) => {
            store.delete(keysIn(place));
          });
        });
      }
    }
    /** Resolves once a change is on the disk: what does not find room there may be refused only then. */
    async change(how) {
      const database = await this.database();
      await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
        transaction.oncomplete = () => {
          resolve();
        };
        transaction.onabort = () => {
          reject(reasonOf3(transaction.error));
        };
        how(transaction.objectStore(STORE));
      });
    }
    async read(what) {
      const database = await this.database();
      return new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, "readonly");
        const request = what(transaction.objectStore(STORE));
        transaction.oncomplete = () => {
          resolve(request.result);
        };
        transaction.onabort = () => {
          reject(reasonOf3(transaction.error));
        };
      });
    }
    /** The database, which is opened again after it could not be, or after the browser has closed it. */
    database() {
      this.opened ??= this.open().catch((error) => {
        this.opened = void 0;
        throw error;
      });
      return this.opened;
    }
    open() {
      return new Promise((resolve, reject) => {
        const request = this.request();
        request.onupgradeneeded = ({ oldVersion }) => {
          const { result, transaction } = request;
          if (oldVersion === WITHOUT_PROJECT && transaction !== null) {
            addProject(transaction.objectStore(STORE));
            return;
          }
          [...result.objectStoreNames].forEach((name) => {
            result.deleteObjectStore(name);
          });
          result.createObjectStore(STORE).createIndex(BY_TIME, BY_TIME);
        };
        request.onerror = () => {
          reject(reasonOf3(request.error));
        };
        request.onsuccess = () => {
          const database = request.result;
          const closed = () => {
            this.opened = void 0;
          };
          database.onclose = closed;
          database.onversionchange = () => {
            database.close();
            closed();
          };
          resolve(database);
        };
      });
    }
  };

  // src/session/slices.ts
  var Slices = class {
    constructor(session2, viewer) {
      this.session = session2;
      this.viewer = viewer;
    }
    session;
    viewer;
    /** Show another of the asked slices: the next one for 1, the previous one for -1. */
    step(by) {
      const { slice } = this.session.state;
      const walk = walkOf(this.session.state);
      const place = slice + by;
      if (walk !== null && this.session.drawing !== void 0 && place >= 0 && place < walk.slices.length) {
        this.viewer.jump(walk, place);
        this.session.set({ slice: place });
      }
    }
    /** Mark the shown slice as done, or no longer, and show the next that is asked for and not done. */
    mark() {
      const { query, done, phase } = this.session.state;
      if (query === null || phase !== "drawing" || query.slices.length === 0) {
        return;
      }
      const place = this.viewer.shownPlace(query);
      if (place === void 0) {
        this.session.set({ message: { kind: "bad", text: "The shown slice is not asked for: go to one that is." } });
        return;
      }
      const marked = done.includes(place) ? done.filter((other) => other !== place) : [...done, place];
      this.session.set({ done: marked, slice: place, asks: [], message: void 0 });
      void this.session.drafts.keepMarks();
      const next = query.slices.findIndex((_, other) => !marked.includes(other));
      if (marked.length > done.length && next >= 0) {
        this.step(next - place);
      }
    }
  };

  // src/viewer/toolbar.ts
  var FIRST_TOOL = "CircularBrush";
  var FIRST_RADIUS_MM = 10;
  var shapes = (id, tools) => ({
    id,
    name: "Shape",
    type: "radio",
    value: Object.keys(tools)[0],
    values: Object.entries(tools).map(([value, label]) => ({ value, label })),
    commands: "setToolActiveToolbar"
  });
  var radius = (id, tools) => ({
    id,
    name: "Radius (mm)",
    type: "range",
    min: 0.5,
    max: 99.5,
    step: 0.5,
    value: FIRST_RADIUS_MM,
    commands: { commandName: "setBrushSize", commandOptions: { toolNames: Object.keys(tools) } }
  });
  var evaluate = (tools) => ({
    name: "evaluate.cornerstone.segmentation",
    toolNames: Object.keys(tools),
    disabledText: "Ask for a case first"
  });
  var brush = (id, icon, label, tools, more = []) => ({
    id,
    icon,
    label,
    evaluate: evaluate(tools),
    options: [radius(`${id}-radius`, tools), shapes(`${id}-shape`, tools), ...more]
  });
  var thresholdTools = { ThresholdCircularBrush: "Circle", ThresholdSphereBrush: "Sphere" };
  var thresholdRange = {
    id: "Threshold-range",
    name: "Range",
    type: "double-range",
    min: -1e3,
    max: 1e3,
    step: 1,
    value: [0, 300],
    commands: { commandName: "setThresholdRange", commandOptions: { toolNames: Object.keys(thresholdTools) } }
  };
  var scissors = { CircleScissor: "Circle", SphereScissor: "Sphere", RectangleScissor: "Rectangle" };
  var BUTTONS = [
    {
      id: "BrushTools",
      uiType: "ohif.buttonGroup",
      props: {
        groupId: "BrushTools",
        items: [
          brush("Brush", "icon-tool-brush", "Brush", { [FIRST_TOOL]: "Circle", SphereBrush: "Sphere" }),
          brush("Eraser", "icon-tool-eraser", "Eraser", { CircularEraser: "Circle", SphereEraser: "Sphere" }),
          brush("Threshold", "icon-tool-threshold", "Threshold", thresholdTools, [thresholdRange])
        ]
      }
    },
    {
      id: "Shapes",
      uiType: "ohif.radioGroup",
      props: {
        label: "Shapes",
        icon: "icon-tool-shape",
        evaluate: evaluate(scissors),
        options: [shapes("shape-mode", scissors)]
      }
    }
  ];

  // src/viewer/tools.ts
  var GROUP = "mpr";
  var DRAWS = /Brush|Eraser|Scissor/;
  var Tools = class {
    constructor(commands) {
      this.commands = commands;
    }
    commands;
    tool = FIRST_TOOL;
    radiusMm = FIRST_RADIUS_MM;
    /** Note the radius of the brush whenever it is set. */
    follow() {
      const shipped = this.commands.getCommand("setBrushSize", "SEGMENTATION");
      if (shipped !== void 0 && shipped.completed !== true) {
        const followed = {
          ...shipped,
          completed: true,
          commandFn: (options) => {
            this.radiusMm = options.value;
            return shipped.commandFn(options);
          }
        };
        this.commands.registerCommand("SEGMENTATION", "setBrushSize", followed);
      }
    }
    /** Note the tool that is in use. */
    note() {
      const tool = window.cornerstoneTools.ToolGroupManager.getToolGroup(GROUP)?.getActivePrimaryMouseButtonTool();
      if (tool !== void 0 && DRAWS.test(tool)) {
        this.tool = tool;
      }
    }
    /** Use the tool and the radius of before. */
    use() {
      this.commands.run("setBrushSize", { value: this.radiusMm, toolNames: [] });
      this.commands.run("setToolActiveToolbar", { toolName: this.tool });
    }
  };

  // src/panel/veil.ts
  var COMES = { case: "The next case comes …", reading: "The other reading comes …" };
  var IMAGES = '[data-cy="viewport-grid"]';
  function veilOf({ phase, comes }, isOpen) {
    if (!isOpen) {
      return "";
    }
    return phase === "sending" ? "Saving …" : phase === "opening" ? COMES[comes] : "";
  }
  var Veil = class {
    element = make("div", { class: "activelabel-veil", role: "status", hidden: "" });
    show(state, isOpen) {
      tell(this.element, veilOf(state, isOpen));
      if (this.element.hidden) {
        this.element.remove();
        return;
      }
      const place = document.querySelector(IMAGES)?.getBoundingClientRect();
      if (place !== void 0) {
        Object.assign(this.element.style, {
          left: `${place.left}px`,
          top: `${place.top}px`,
          width: `${place.width}px`,
          height: `${place.height}px`
        });
        document.body.append(this.element);
      }
    }
  };

  // src/drawing/colours.ts
  var BRIGHT = [
    [255, 170, 0],
    // orange
    [0, 220, 255],
    // cyan
    [120, 255, 60],
    // green
    [255, 90, 200],
    // pink
    [255, 240, 60],
    // yellow
    [255, 95, 70],
    // red
    [170, 170, 255],
    // lavender
    [0, 255, 180],
    // mint
    [255, 200, 170],
    // peach
    [215, 130, 255]
    // violet
  ];
  function colourOf(value) {
    const colour = BRIGHT[(value - 1) % BRIGHT.length] ?? [255, 255, 255];
    return [...colour, 255];
  }

  // src/drawing/digest.ts
  var turned = (bits, by) => bits << by | bits >>> 32 - by;
  function digestOf(values) {
    const whole = values.byteOffset % 4 === 0 ? values : values.slice();
    const words = new Uint32Array(whole.buffer, whole.byteOffset, whole.length >> 2);
    let [one, other] = [values.length, ~values.length];
    const add = (word) => {
      one = Math.imul(turned(one, 5) ^ word, 2654435761);
      other = Math.imul(turned(other, 13) ^ word, 2246822507);
    };
    words.forEach(add);
    whole.subarray(words.length * 4).forEach(add);
    return [one, other].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }

  // src/drawing/history.ts
  var MOST_VOXELS = 16e6;
  var History = class {
    /** `values` is copied: it is the state before the first stroke. */
    constructor(values, mostVoxels = MOST_VOXELS) {
      this.mostVoxels = mostVoxels;
      this.values = values.slice();
    }
    mostVoxels;
    done = [];
    undone = [];
    strokes = 0;
    /** The last stroke that can no longer be taken back. */
    first = 0;
    /** The labelmap after the last stroke that was recorded. */
    values;
    get canUndo() {
      return this.done.length > 0;
    }
    get canRedo() {
      return this.undone.length > 0;
    }
    /** The voxels that the last step has changed; none without a step. */
    get latest() {
      return this.done.at(-1)?.places ?? new Uint32Array();
    }
    /** The stroke after which the labelmap was as it is now: it is the same again when it is undone or redone to there. */
    get position() {
      return this.done.at(-1)?.stroke ?? this.first;
    }
    /** Record what is different in `parts`, as one step. Returns whether anything is. */
    record(parts) {
      const change = this.compare(parts);
      if (change.places.length === 0) {
        return false;
      }
      this.write(change.places, change.after);
      this.done.push(change);
      this.strokes++;
      this.undone = [];
      let kept = 0;
      const first = this.done.findLastIndex(({ places }) => (kept += places.length) > this.mostVoxels);
      const forgotten = this.done.splice(0, Math.min(first + 1, this.done.length - 1));
      this.first = forgotten.at(-1)?.stroke ?? this.first;
      return true;
    }
    /** Take back the last step. Returns the voxels to write and their values; nothing if there is no step. */
    undo() {
      const change = this.done.pop();
      if (change === void 0) {
        return void 0;
      }
      this.undone.push(change);
      this.write(change.places, change.before);
      return [change.places, change.before];
    }
    /** Repeat the step that was taken back last. */
    redo() {
      const change = this.undone.pop();
      if (change === void 0) {
        return void 0;
      }
      this.done.push(change);
      this.write(change.places, change.after);
      return [change.places, change.after];
    }
    compare(parts) {
      const places = [];
      const after = [];
      for (const { start, values } of parts) {
        for (let index = 0; index < values.length; index++) {
          const value = values[index] ?? 0;
          if (this.values[start + index] !== value) {
            places.push(start + index);
            after.push(value);
          }
        }
      }
      return {
        places: Uint32Array.from(places),
        before: Uint8Array.from(places, (place) => this.values[place] ?? 0),
        after: Uint8Array.from(after),
        stroke: this.strokes + 1
      };
    }
    write(places, values) {
      places.forEach((place, index) => {
        this.values[place] = values[index] ?? 0;
      });
    }
  };

  // src/viewer/viewports.ts
  function viewportsOf(services, series) {
    const { viewportGridService, displaySetService } = services;
    return [...viewportGridService.getState().viewports.values()].filter(
      ({ displaySetInstanceUIDs }) => displaySetInstanceUIDs.some((uid) => displaySetService.getDisplaySetByUID(uid)?.SeriesInstanceUID === series)
    );
  }
  function drawnViewport(services, id) {
    const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
    return viewport?.getImageData()?.dimensions ? viewport : void 0;
  }

  // src/drawing/drawing.ts
  var LONGEST_STROKE_MS = 5e3;
  var Drawing = class _Drawing {
    constructor(services, id, volume, onStroke) {
      this.services = services;
      this.id = id;
      this.volume = volume;
      this.onStroke = onStroke;
      this.grid = gridOf(volume);
      const values = new Uint8Array(this.grid.shape.reduce((product, length) => product * length, 1));
      for (const part of this.parts()) {
        values.set(part.values, part.start);
      }
      this.history = new History(values);
      this.kept = this.history.position;
      this.opened = digestOf(this.history.values);
      this.record();
      const { Events } = window.cornerstoneTools.Enums;
      window.cornerstone.eventTarget.addEventListener(Events.SEGMENTATION_DATA_MODIFIED, this.noteTouched);
      window.addEventListener("pointerdown", this.press, true);
      window.addEventListener("pointerup", this.lift, true);
    }
    services;
    id;
    volume;
    onStroke;
    history;
    grid;
    touched = /* @__PURE__ */ new Set();
    pressed = false;
    writing = false;
    /** As they were when the segmentation was last there: the viewer removes it before it says that a study is left. */
    segments = {};
    /** Where the history was when the drawing was opened or last kept; nothing if it was not kept. */
    kept;
    opened;
    /** Draw structures of these names on a series that the viewer shows, over a mask if there is one. */
    static async open(services, series, labels, mask, onStroke) {
      const { segmentationService, displaySetService } = services;
      const shown = viewportsOf(services, series);
      const uid = shown[0]?.displaySetInstanceUIDs[0];
      const displaySet = uid === void 0 ? void 0 : displaySetService.getDisplaySetByUID(uid);
      if (displaySet === void 0) {
        throw new Error(`the viewer does not show the series ${series}`);
      }
      const id = `activelabel-${series}`;
      if (segmentationService.getSegmentation(id) === void 0) {
        const segments = Object.fromEntries(
          labels.map((label, index) => [index + 1, { segmentIndex: index + 1, label, active: index === 0, locked: false }])
        );
        await segmentationService.createLabelmapForDisplaySet(displaySet, { segmentationId: id, label: "Structures", segments });
      }
      for (const { viewportId } of shown) {
        if (segmentationService.getSegmentationRepresentations(viewportId, { segmentationId: id }).length === 0) {
          await segmentationService.addSegmentationRepresentation(viewportId, { segmentationId: id });
        }
      }
      const volume = await until(() => segmentationService.getLabelmapVolume(id) ?? void 0, "the labelmap");
      for (const { viewportId } of shown) {
        segmentationService.setActiveSegmentation(viewportId, id);
        labels.forEach((_, index) => {
          segmentationService.setSegmentColor(viewportId, id, index + 1, colourOf(index + 1));
        });
      }
      segmentationService.setActiveSegment(id, 1);
      if (mask !== void 0) {
        fill(volume, id, reordered(mask.values, mask.grid, gridOf(volume)));
      }
      return new _Drawing(services, id, volume, onStroke);
    }
    get changed() {
      return this.history.position !== this.kept;
    }
    get empty() {
      return this.history.values.every((value) => value === 0);
    }
    get canUndo() {
      return this.history.canUndo;
    }
    get canRedo() {
      return this.history.canRedo;
    }
    undo() {
      this.write(this.history.undo());
    }
    redo() {
      this.write(this.history.redo());
    }
    restore(slices) {
      for (const { start, values } of slices) {
        imageAt(this.volume, start / this.sliceSize)?.voxelManager.getScalarData().set(values);
      }
      this.tellWritten(slices.map(({ start }) => start / this.sliceSize));
      const changes = this.history.record(slices);
      if (changes) {
        this.onStroke(this.slicesAt(this.history.latest));
      }
      return changes;
    }
    choose(segment) {
      this.services.segmentationService.setActiveSegment(this.id, segment);
    }
    async file() {
      if (this.pressed) {
        await this.strokeEnds();
      }
      this.record();
      this.kept = this.history.position;
      const { values, names } = renumbered(this.history.values, this.segments);
      return { mask: await writeMask({ grid: this.grid, values }), label_info: names, digest: digestOf(values) };
    }
    notKept() {
      this.kept = void 0;
    }
    remove() {
      const { segmentationService } = this.services;
      if (segmentationService.getSegmentation(this.id) !== void 0) {
        segmentationService.remove(this.id);
      }
    }
    close() {
      this.record();
      const { Events } = window.cornerstoneTools.Enums;
      window.cornerstone.eventTarget.removeEventListener(Events.SEGMENTATION_DATA_MODIFIED, this.noteTouched);
      window.removeEventListener("pointerdown", this.press, true);
      window.removeEventListener("pointerup", this.lift, true);
    }
    /** A stroke that is being drawn is whole when the button is released. It is not waited for without an end. */
    strokeEnds() {
      return new Promise((resolve) => {
        const ended = () => {
          window.removeEventListener("pointerup", ended, true);
          setTimeout(resolve);
        };
        window.addEventListener("pointerup", ended, true);
        setTimeout(ended, LONGEST_STROKE_MS);
      });
    }
    press = () => {
      this.pressed = true;
    };
    // Tools change the labelmap when the button is released, some of them after this event.
    lift = () => {
      this.pressed = false;
      setTimeout(this.record);
    };
    noteTouched = (event) => {
      const { segmentationId, modifiedSlicesToUse } = event.detail;
      if (segmentationId !== this.id || this.writing) {
        return;
      }
      if (modifiedSlicesToUse === void 0 || modifiedSlicesToUse.length === 0) {
        this.touched = "all";
      } else if (this.touched !== "all") {
        modifiedSlicesToUse.forEach((slice) => this.touched.add(slice));
      }
      if (!this.pressed) {
        setTimeout(this.record);
      }
    };
    record = () => {
      this.segments = this.services.segmentationService.getSegmentation(this.id)?.segments ?? this.segments;
      const touched = this.touched;
      this.touched = /* @__PURE__ */ new Set();
      if ((touched === "all" || touched.size > 0) && this.history.record(this.parts(touched))) {
        this.onStroke(this.slicesAt(this.history.latest));
      }
    };
    *parts(slices = "all") {
      const size = this.sliceSize;
      for (let slice = 0; slice < this.volume.imageIds.length; slice++) {
        if (slices === "all" || slices.has(slice)) {
          const image = imageAt(this.volume, slice);
          if (image !== void 0) {
            yield { start: slice * size, values: image.voxelManager.getScalarData() };
          }
        }
      }
    }
    write(change) {
      if (change === void 0) {
        return;
      }
      const [places, values] = change;
      const size = this.sliceSize;
      const slices = /* @__PURE__ */ new Map();
      places.forEach((place, index) => {
        const slice = Math.floor(place / size);
        const known = slices.get(slice) ?? imageAt(this.volume, slice)?.voxelManager.getScalarData();
        if (known !== void 0) {
          slices.set(slice, known);
          known[place % size] = at(values, index);
        }
      });
      this.tellWritten([...slices.keys()]);
      this.onStroke(this.slicesAt(places));
    }
    /** Have the viewer show slices that were written here, which is no stroke. */
    tellWritten(slices) {
      this.writing = true;
      try {
        tell2(this.id, slices);
      } finally {
        this.writing = false;
      }
    }
    get sliceSize() {
      return this.grid.shape[0] * this.grid.shape[1];
    }
    /** The slices that hold these voxels, as they are now. */
    slicesAt(places) {
      const size = this.sliceSize;
      const starts = /* @__PURE__ */ new Set();
      places.forEach((place) => starts.add(place - place % size));
      return [...starts].map((start) => ({ start, values: this.history.values.subarray(start, start + size) }));
    }
  };
  function imageAt(volume, slice) {
    const imageId = volume.imageIds[slice];
    return imageId === void 0 ? void 0 : window.cornerstone.cache.getImage(imageId);
  }
  function tell2(id, slices) {
    window.cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(id, slices);
  }
  function fill(volume, id, values) {
    const size = values.length / volume.imageIds.length;
    volume.imageIds.forEach((_, slice) => {
      imageAt(volume, slice)?.voxelManager.getScalarData().set(values.subarray(slice * size, (slice + 1) * size));
    });
    tell2(id);
  }
  function renumbered(values, segments) {
    const kept = Object.entries(segments).filter((entry) => entry[1] !== void 0).sort(([one], [other]) => Number(one) - Number(other));
    const table = new Uint8Array(256);
    kept.forEach(([value], index) => table[Number(value)] = index + 1);
    const names = kept.map(([, { label }], index) => ({ name: label, idx: index + 1 }));
    return { values: values.map((value) => table[value] ?? 0), names };
  }

  // src/viewer/viewer.ts
  var MODE = "/monai-label";
  var OhifViewer = class {
    constructor(services, commands, tools) {
      this.services = services;
      this.commands = commands;
      this.tools = tools;
    }
    services;
    commands;
    tools;
    shown(givenUp) {
      const { viewportGridService, displaySetService } = this.services;
      const look = () => {
        const [first] = viewportGridService.getState().viewports.values();
        const uid = first?.displaySetInstanceUIDs[0];
        return uid === void 0 ? void 0 : displaySetService.getDisplaySetByUID(uid)?.SeriesInstanceUID;
      };
      return until(look, "an image", givenUp);
    }
    show({ StudyInstanceUID, SeriesInstanceUID }) {
      this.tools.note();
      const search = new URLSearchParams({ StudyInstanceUIDs: StudyInstanceUID, SeriesInstanceUIDs: SeriesInstanceUID });
      this.commands.run("navigateHistory", { to: `${MODE}?${search.toString()}` });
    }
    async open(series, labels, mask, onStroke, givenUp) {
      await until(() => this.viewports(series), "the image of the case", givenUp);
      const drawing = await Drawing.open(this.services, series, labels, mask, onStroke);
      this.tools.use();
      return drawing;
    }
    /** The viewports of a series; nothing before all of them show it. */
    viewports(series) {
      const listed = viewportsOf(this.services, series);
      const drawn2 = listed.map(({ viewportId }) => drawnViewport(this.services, viewportId));
      return listed.length > 0 && drawn2.every((viewport) => viewport !== void 0) ? drawn2 : void 0;
    }
    shownPlace(walk) {
      const viewport = this.ofPlane(walk);
      if (viewport === void 0 || turnOf(viewport, walk.plane ?? "") !== void 0) {
        return void 0;
      }
      const shown = viewport.getSliceIndex();
      const place = walk.slices.findIndex(({ ohif_number }) => ohif_number - 1 === shown);
      return place < 0 ? void 0 : place;
    }
    ofPlane(walk) {
      const id = this.idOfPlane(walk);
      return id === void 0 ? void 0 : drawnViewport(this.services, id);
    }
    idOfPlane({ image, plane }) {
      return viewportsOf(this.services, image).find(({ viewportOptions }) => viewportOptions.orientation === plane)?.viewportId;
    }
    /** The first stroke in another view than the active one is lost: it only makes that view the active one. */
    activate(walk) {
      const id = this.idOfPlane(walk);
      if (id !== void 0 && this.services.viewportGridService.getState().activeViewportId !== id) {
        this.services.viewportGridService.setActiveViewportId(id);
      }
    }
    jump(walk, place) {
      const slice = walk.slices[place];
      const viewport = this.ofPlane(walk);
      if (slice !== void 0 && viewport !== void 0) {
        turnToSlices(viewport, walk.plane ?? "");
        this.activate(walk);
        void window.cornerstone.utilities.jumpToSlice(viewport.element, { imageIndex: slice.ohif_number - 1 });
      }
    }
    lookAt(series, [right, front, up]) {
      this.viewports(series)?.forEach((viewport) => {
        viewport.jumpToWorld([-right, -front, up]);
        viewport.render();
      });
    }
  };

  // src/panel/worklist.ts
  var TOGETHER_MS = 1500;
  function rowOf({ image, name, role, state, who, note, drafts_of }) {
    const others = drafts_of.filter((annotator) => state !== "draft" || !who.includes(annotator));
    const parts = [
      who.join(", "),
      role === "validation" ? "validation" : "",
      others.length > 0 ? `draft of ${others.join(", ")}` : "",
      note
    ];
    return { image, name, state, who, detail: parts.filter((part) => part !== "").join(" · ") };
  }
  function countsOf(counts) {
    return Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`).join(", ");
  }
  var WorklistPart = class {
    constructor(server, open, failed) {
      this.server = server;
      this.open = open;
      this.failed = failed;
      this.more = button("More", () => {
        this.load(this.next ?? "");
      });
      this.more.hidden = true;
      this.element = make("div", { class: "al-column" }, this.counts, this.rows, this.more);
    }
    server;
    open;
    failed;
    title = "Worklist";
    element;
    counts = make("p", { class: "al-quiet" });
    rows = make("div", { class: "al-rows", role: "list" });
    more;
    next = null;
    /** How often the first cases were asked for. */
    asked = 0;
    due;
    opened() {
      this.refresh();
    }
    /** Cases have changed. */
    refresh() {
      clearTimeout(this.due);
      if (!this.element.hidden) {
        this.due = setTimeout(() => {
          this.load("");
        }, this.rows.childElementCount === 0 ? 0 : TOGETHER_MS);
      }
    }
    /** An answer is shown unless it comes late: the first cases were asked for again since, or others follow those that are shown. */
    load(after) {
      const asked = after === "" ? ++this.asked : void 0;
      this.server.worklist(after).then((list) => {
        if (asked === void 0 ? after === this.next : asked === this.asked) {
          this.fill(list, asked === void 0);
        }
      }, this.failed);
    }
    fill({ cases, next, counts }, adds) {
      const lines = cases.map(rowOf).map((row) => this.line(row));
      if (adds) {
        this.rows.append(...lines);
      } else {
        this.rows.replaceChildren(...lines);
      }
      this.next = next;
      this.more.hidden = next === null;
      tell(this.counts, countsOf(counts));
    }
    line(row) {
      const title = make("span", { class: "al-case" }, row.name);
      const state = make("span", { class: `al-state al-${row.state.replace(/\W+/g, "-")}` }, row.state);
      const press = button("", () => {
        this.open(row);
      }, { class: "al-line", role: "listitem", title: "Show this case" });
      press.append(title, state, make("span", { class: "al-quiet" }, row.detail));
      return press;
    }
  };

  // src/index.ts
  var TICK_MS = 3e3;
  var DAY_MS = 24 * 3600 * 1e3;
  var NAME = "activelabel";
  var PANEL = `${NAME}.panelModule.${NAME}`;
  var SEGMENTATIONS = "@ohif/extension-cornerstone.panelModule.panelSegmentationWithTools";
  var extensions;
  var session;
  var panel;
  var shelf = new BrowserShelf();
  var component = () => ({
    $$typeof: /* @__PURE__ */ Symbol.for("react.element"),
    type: "div",
    key: null,
    ref: mount,
    props: { className: "activelabel-panel" },
    _owner: null
  });
  function mount(node) {
    if (node !== null && panel !== void 0) {
      node.append(panel.element);
    }
  }
  function begin({ servicesManager: { services }, commandsManager }) {
    mendTurnedViews(window.cornerstone.VolumeViewport);
    withoutSeriesNotice(services.uiNotificationService);
    const server = new Server(location.origin, void 0, () => nameIn(document.cookie));
    const tools = new Tools(commandsManager);
    tools.follow();
    const viewer = new OhifViewer(services, commandsManager, tools);
    const overlays = new Overlays(server, viewer, (change) => {
      begun.set(change);
    });
    const begun = new Session(server, viewer, (state) => {
      shown.show(state);
      veil.show(state, begun.drawing !== void 0);
      overlays.follow(state);
    }, new Marks(sessionStorage), new Journal(shelf, openPages(), (text2) => {
      begun.set({ message: { kind: "bad", text: text2 } });
    }));
    const slices = new Slices(begun, viewer);
    const actions = {
      next: () => void begun.next(),
      saveAndNext: () => void begun.saveAndNext(),
      skip: (kind, reason) => void begun.skip(kind, reason),
      undo: () => {
        begun.retrace("undo");
      },
      redo: () => {
        begun.retrace("redo");
      },
      step: (by) => {
        slices.step(by);
      },
      mark: () => {
        slices.mark();
      },
      choose: (structure) => {
        if (structure <= begun.state.labels.length) {
          begun.drawing?.choose(structure);
        }
      },
      setOpacity: (opacity) => {
        begun.set({ opacity });
      }
    };
    const veil = new Veil();
    const reviews = new Reviews(server, begun, viewer);
    const worklist = new WorklistPart(server, (row) => void reviews.lookAt(row), (error) => {
      begun.set({ message: { kind: "bad", text: error instanceof Error ? error.message : String(error) } });
    });
    const shown = new Panel(actions, {
      reader: new ReaderPart((name) => {
        document.cookie = cookieOf(name);
        void begun.enter();
      }),
      older: new OlderPart(() => {
        begun.older.take();
      }, () => {
        begun.older.drop();
      }),
      review: new ReviewPart({
        approve: (note) => void reviews.approve(note),
        merge: (note) => void reviews.merge(note),
        returnLabel: (note) => void reviews.returnLabel(note),
        show: (reading) => void reviews.show(reading),
        release: () => void reviews.release()
      }),
      take: new TakePart(() => void reviews.take()),
      folded: new Folded([worklist, new CurvePart()])
    });
    panel = shown;
    shown.show(begun.state);
    listenForKeys(actions);
    ["pointerdown", "pointermove", "keydown", "wheel"].forEach((kind) => {
      window.addEventListener(kind, () => {
        begun.noteInput();
      }, { capture: true, passive: true });
    });
    window.addEventListener("beforeunload", (event) => {
      if (begun.state.changed || begun.state.waits) {
        event.preventDefault();
      }
    });
    listenForProgress(location.origin, (progress) => {
      begun.set({ progress });
    }, () => {
      worklist.refresh();
    });
    setInterval(() => void begun.tick(), TICK_MS);
    return begun;
  }
  function purge() {
    shelf.purge().catch((error) => {
      console.warn("strokes of more than a week ago are not removed:", error);
    });
  }
  purge();
  setInterval(purge, DAY_MS);
  window.config.modes.push(MODE_MODULE);
  window.config.extensions.push({
    id: NAME,
    preRegistration(managers) {
      extensions = managers.extensionManager;
      const style = document.createElement("style");
      style.textContent = panel_default;
      document.head.append(style);
    },
    getPanelModule: () => [
      { name: NAME, iconName: "tab-segmentation", iconLabel: "Cases", label: "Active learning", component }
    ],
    onModeEnter({ servicesManager, commandsManager }) {
      const { services } = servicesManager;
      completeDownload(commandsManager, services.segmentationService);
      completeExport(commandsManager, extensions, services.segmentationService, (type, message) => {
        const duration = type === "error" ? 2e4 : 4e3;
        services.uiNotificationService.show({ title: "Export DICOM SEG", message, type, duration });
      });
      if (location.pathname.endsWith(MODE)) {
        services.toolbarService.addButtons(BUTTONS);
        session ??= begin({ servicesManager, commandsManager, extensionManager: extensions });
        const { Left, Right } = services.panelService.PanelPosition;
        const left2 = services.panelService.getPanels(Left).map(({ id }) => id);
        services.panelService.setPanels({ [Left]: left2, [Right]: [[PANEL, SEGMENTATIONS]] });
        void session.enter();
      }
    },
    onModeExit() {
      void session?.leave();
    }
  });
})();
