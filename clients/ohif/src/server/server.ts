/** Requests to the annotation server. A refusal is an error with the server's own line. */

export interface SliceAsked {
  index: number;
  number: number;
  ohif_number: number;
  position_mm: number;
}

/** Slices of an image that a reader is shown, one after the other. */
export interface Walk {
  image: string;
  plane: string | null;
  slices: SliceAsked[];
}

export interface Query extends Walk {
  role: 'training' | 'validation';
  kind: 'volume' | 'slices';
  reason: string;
  model_version: number | null;
  draft: boolean;
  returned: { note: string } | null;
}

/** Who annotates. Without a login, the name is what the reader has written. */
export interface Reader {
  byLogin: boolean;
  name: string;
  /** Whether they may review. */
  reviews: boolean;
}

/** Which of two readings counts, `staple` for one merged of both. */
export type Take = 'first' | 'second' | 'staple';

export interface WorklistCase {
  image: string;
  name: string;
  role: 'training' | 'validation';
  state: string;
  who: string[];
  note: string;
  drafts_of: string[];
  label: object | null;
}

export interface Worklist {
  cases: WorklistCase[];
  next: string | null;
  counts: Record<string, number>;
}

/** Cases of the worklist that are fetched at once. */
const ROWS = 50;

/** A label that a reviewer has before them. */
export interface Review {
  image: string;
  version: number;
  annotator: string;
  slices: number[] | null;
  /** The plane of those slices; nothing for a whole volume. */
  plane: string | null;
  /** Those slices as viewers count them; none for a whole volume. */
  covered: SliceAsked[];
  /** Who drew two readings that differ, and how much these agree, in words. */
  readings: { first: string; second: string; agreement: string } | null;
}

export interface Sample {
  id: string;
  StudyInstanceUID: string;
  SeriesInstanceUID: string;
  PatientID?: string;
}

/** What people call a case. */
export function nameOf(sample: Sample): string {
  return sample.PatientID ?? sample.id;
}

export interface Saved {
  state: 'finished' | 'draft';
  message?: string;
}

export type SkipKind = 'not now' | 'cannot be annotated';

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
const KEPT = 'nothing drawn here is lost';
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
    private readonly writtenName = () => ''
  ) {
    this.ask = ask;
  }

  /** Names of the structures, in the order of their values from 1. */
  async labels(): Promise<string[]> {
    return (await this.json<{ labels: string[] | null }>('GET', 'info/')).labels ?? [];
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

  prediction(image: string): Promise<ArrayBuffer> {
    return this.bytes('POST', `infer/segmentation?image=${encodeURIComponent(image)}&output=image`);
  }

  uncertainty(image: string): Promise<ArrayBuffer> {
    return this.bytes('GET', `activelabel/uncertainty?image=${encodeURIComponent(image)}&form=nifti`);
  }

  skip(image: string, skip: SkipKind, reason: string): Promise<unknown> {
    return this.json('POST', 'activelabel/skip', { image, skip, reason });
  }

  active(image: string, seconds: number): Promise<unknown> {
    return this.json('POST', 'activelabel/heartbeat', { image, seconds });
  }

  /** Who asks: by the login, if there is one. */
  async reader(): Promise<Reader> {
    if (!(await this.json<{ enabled: boolean }>('GET', 'auth/')).enabled) {
      return { byLogin: false, name: this.writtenName(), reviews: true };
    }
    const { username, roles } = await this.json<{ username: string; roles: string[] }>('GET', 'auth/token/valid');
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
    const answer = await this.request(path, { method: 'PUT', body: form });
    const saved = await parsed<Partial<Saved> | null>(answer);
    if (saved?.state !== 'finished' && saved?.state !== 'draft') {
      throw new Refusal(answer.status, noAnswer(answer)); // it does not say that it has the drawing
    }
    return saved as Saved;
  }

  private async json<T>(method: string, path: string, body?: object): Promise<T> {
    const sent = body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
    return parsed<T>(await this.request(path, { method, ...sent }));
  }

  private async bytes(method: string, path: string): Promise<ArrayBuffer> {
    return (await this.request(path, { method })).arrayBuffer();
  }

  private async request(path: string, init: RequestInit): Promise<Response> {
    const headers = { Accept: 'application/json, */*', ...(init.headers as Record<string, string> | undefined) };
    const answer = await this.ask(`${this.address}/${path}`, { ...init, headers }).catch(() => {
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
