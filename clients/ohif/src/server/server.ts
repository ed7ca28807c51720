/** Requests to the annotation server. A refusal is an error with the server's own line. */

import type { ProjectProgress } from './progress.ts';
import type { Project, Query, Reader, Take, Worklist, Review, Sample, Saved, SkipKind } from './answers.ts';

export type * from './answers.ts';

/** Cases of the worklist that are fetched at once. */
const ROWS = 50;

/** What people call a case. */
export function nameOf(sample: Sample): string {
  return sample.PatientID ?? sample.id;
}

/** The server refused: its line, and the status of its answer. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    line: string
  ) {
    super(line);
  }
}

/** The server did not answer. */
export class Away extends Error {
  constructor() {
    super('the server does not answer: is it running?');
  }
}

/** The server's one line, of an answer that may have none. */
export function lineOf(text: string, status: number): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === 'string' ? detail : `the server answered ${status}`;
  } catch {
    return `the server answered ${status}`;
  }
}

export const LOGGED_OUT = 401;
/** Somebody else holds the case. */
export const NOT_HELD = 409;
/** The server takes the page for somebody else than the one whose work is sent, or another project is served there now. */
export const ANOTHER_READER = 412;
/** The header that says whose work is sent, percent-encoded. */
const READER_HEADER = 'X-ActiveLabel-Reader';
/** The header that says of which project it is. */
const PROJECT_HEADER = 'X-ActiveLabel-Project';
/** How long a question and a file may take before the server counts as silent: on a slow line a large mask takes minutes. */
const ANSWER_MS = 60_000;
const FILE_MS = 300_000;
/** How long what is computed first may take: a large image on a slow processor. Slicer waits as long. */
const COMPUTED_MS = 600_000;
/** How long the smallest question may take, which is asked again and again while the server is silent. */
const WHO_MS = 10_000;
const KEPT = 'nothing drawn here is lost';
/** There is no label, or it was drawn by the other of two readers who do not see what the other draws. */
const HIDDEN = new Set([403, 404]);
/** Statuses of a proxy whose server does not answer. */
const BETWEEN = new Set([502, 503, 504]);

function isJson(answer: Response): boolean {
  return answer.headers.get('Content-Type')?.includes('json') === true;
}

function noAnswer({ status }: Response): string {
  return `what came (${status}) is no answer of activelabel: log in again in another tab, ${KEPT}`;
}

/** The content of an answer. A page that asks for a login, of a proxy for example, is a refusal. */
async function parsed<T>(answer: Response): Promise<T> {
  try {
    return (await answer.json()) as T;
  } catch (error) {
    throw error instanceof SyntaxError ? new Refusal(answer.status, noAnswer(answer)) : new Away();
  }
}

export class Server {
  private readonly ask: typeof fetch;

  constructor(
    readonly address: string,
    ask: typeof fetch = (input, init) => fetch(input, init),
    private readonly writtenName = () => '',
    private readonly worker?: Reader,
    /** The project of the page, once it is known: a page works on one alone. */
    private readonly known: { project?: string } = {}
  ) {
    this.ask = ask;
  }

  /** The server as the one who sends it the work of a reader: it refuses that as the work of anybody else. */
  of(worker: Reader | undefined): Server {
    return new Server(this.address, this.ask, this.writtenName, worker, this.known);
  }

  /** The project that is served. From now on the server refuses what this page sends, if it serves another one. */
  async project(): Promise<Project> {
    const { project, labels } = await this.json<{ project?: string; labels: string[] | null }>('GET', 'info/');
    // A server that still runs as it was before an update brought this page says nothing of it.
    if (project !== undefined) { this.known.project = project; }
    return { id: project ?? '', labels: labels ?? [] };
  }

  /** What the stream of events tells too, seconds after a change. */
  progress(): Promise<ProjectProgress> {
    return this.json('GET', 'activelabel/progress');
  }

  async query(): Promise<Query | null> {
    return (await this.json<{ query: Query | null }>('GET', 'activelabel/query')).query;
  }

  /** Ask for the next case; nothing if none is left. The answer names its slices beside the patient, so the info is asked for. */
  async next(): Promise<Sample | undefined> {
    const { id } = await this.json<{ id?: string }>('POST', 'activelearning/recipe', {});
    return id === undefined ? undefined : this.imageInfo(id);
  }

  /** Where an image lies in the PACS. */
  async imageInfo(image: string): Promise<Sample> {
    const info = await this.json<Omit<Sample, 'id'>>('GET', `datastore/image/info?image=${encodeURIComponent(image)}`);
    return { ...info, id: image };
  }

  save(image: string, mask: Blob, params: object): Promise<Saved> {
    return this.send(`datastore/label?image=${encodeURIComponent(image)}&tag=final`, mask, params);
  }

  saveDraft(image: string, mask: Blob, params: object): Promise<Saved> {
    return this.send(`activelabel/draft?image=${encodeURIComponent(image)}`, mask, params);
  }

  draft(image: string): Promise<ArrayBuffer> {
    return this.bytes('GET', `activelabel/draft?image=${encodeURIComponent(image)}`);
  }

  label(image: string, tag: 'final' | 'reading_2' = 'final'): Promise<ArrayBuffer> {
    return this.bytes('GET', `datastore/label?label=${encodeURIComponent(image)}&tag=${tag}`);
  }

  /** Who has drawn the label of an image; nothing if there is none, or none that this reader may see. */
  async labelledBy(image: string): Promise<string | undefined> {
    try {
      const { client_id } = await this.json<{ client_id?: string }>('GET', `datastore/label/info?label=${encodeURIComponent(image)}&tag=final`);
      return client_id;
    } catch (error) {
      if (error instanceof Refusal && HIDDEN.has(error.status)) {
        return undefined;
      }
      throw error;
    }
  }

  prediction(image: string): Promise<ArrayBuffer> {
    return this.bytes('POST', `infer/segmentation?image=${encodeURIComponent(image)}&output=image`, COMPUTED_MS);
  }

  uncertainty(image: string): Promise<ArrayBuffer> {
    return this.bytes('GET', `activelabel/uncertainty?image=${encodeURIComponent(image)}&form=nifti`, COMPUTED_MS);
  }

  skip(image: string, skip: SkipKind, reason: string): Promise<unknown> {
    return this.json('POST', 'activelabel/skip', { image, skip, reason });
  }

  active(image: string, seconds: number): Promise<unknown> {
    return this.json('POST', 'activelabel/heartbeat', { image, seconds });
  }

  /** Who asks: by the login, if there is one. */
  async reader(): Promise<Reader> {
    if (!(await this.json<{ enabled: boolean }>('GET', 'auth/', undefined, WHO_MS)).enabled) {
      return { byLogin: false, name: this.writtenName(), reviews: true };
    }
    const { username, roles } = await this.json<{ username: string; roles: string[] }>('GET', 'auth/token/valid', undefined, WHO_MS);
    return { byLogin: true, name: username, reviews: roles.some(role => role !== 'annotator') };
  }

  /** The first cases of the worklist, and how many there are in each state. */
  worklist(after: string): Promise<Worklist> {
    return this.json('GET', `activelabel/worklist?limit=${ROWS}&after=${encodeURIComponent(after)}`);
  }

  /** Take a label for review: that of an image, or the one that has waited longest. */
  async review(image?: string): Promise<Review | null> {
    const { review } = await this.json<{ review: Review | null }>('POST', 'activelabel/review', image === undefined ? {} : { image });
    return review;
  }

  approve(image: string, version: number, note: string): Promise<unknown> {
    return this.json('POST', 'activelabel/approve', { image, version, note });
  }

  returnLabel(image: string, version: number, note: string): Promise<unknown> {
    return this.json('POST', 'activelabel/return', { image, version, note });
  }

  adjudicate(image: string, take: Take, note: string): Promise<unknown> {
    return this.json('POST', 'activelabel/adjudicate', { image, take, note });
  }

  release(): Promise<unknown> {
    return this.json('POST', 'activelabel/release', {});
  }

  private async send(path: string, mask: Blob, params: object): Promise<Saved> {
    const form = new FormData();
    form.append('label', mask, 'label.nii.gz');
    form.append('params', JSON.stringify(params));
    const answer = await this.request(path, { method: 'PUT', body: form }, FILE_MS);
    const saved = await parsed<Partial<Saved> | null>(answer);
    if (saved?.state !== 'finished' && saved?.state !== 'draft') {
      throw new Refusal(answer.status, noAnswer(answer)); // it does not say that it has the drawing
    }
    return saved as Saved;
  }

  private async json<T>(method: string, path: string, body?: object, longest = ANSWER_MS): Promise<T> {
    const sent = body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
    return parsed<T>(await this.request(path, { method, ...sent }, longest));
  }

  private async bytes(method: string, path: string, longest = FILE_MS): Promise<ArrayBuffer> {
    const answer = await this.request(path, { method }, longest);
    return answer.arrayBuffer().catch(() => {
      throw new Away(); // the answer has broken off
    });
  }

  private async request(path: string, init: RequestInit, longest: number): Promise<Response> {
    const whose = {
      ...(this.worker && { [READER_HEADER]: encodeURIComponent(this.worker.name) }),
      ...(this.known.project !== undefined && { [PROJECT_HEADER]: this.known.project }),
    };
    const headers = { Accept: 'application/json, */*', ...(init.headers as Record<string, string> | undefined), ...whose };
    const signal = AbortSignal.timeout(longest);
    const answer = await this.ask(`${this.address}/${path}`, { ...init, headers, signal }).catch(() => {
      throw new Away();
    });
    if (BETWEEN.has(answer.status) && !isJson(answer)) {
      throw new Away(); // what stands before the server answers in its stead
    }
    if (!answer.ok) {
      const line = lineOf(await answer.text(), answer.status);
      throw new Refusal(answer.status, answer.status === LOGGED_OUT ? `your login has ended: ${KEPT}` : line);
    }
    return answer;
  }
}
