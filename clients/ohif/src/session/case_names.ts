/** What people call the cases that a reader has seen: the server's lines have the ids of their images. */

export class CaseNames {
  private readonly names = new Map<string, string>();

  /** Note the name of an image, and return it. */
  note(image: string, name: string): string {
    this.names.set(image, name);
    return name;
  }

  /** A line of the server with names in place of the ids of images, as far as they are known. */
  within(line: string): string {
    return line.replace(/image '([^']+)'/g, (whole, image: string) => this.names.get(image) ?? whole);
  }
}
