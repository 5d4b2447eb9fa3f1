/// Collects lines and keeps their indentation.
struct SourceWriter {
  private var lines: [String] = []
  private var depth = 0

  var source: String { lines.joined(separator: "\n") + "\n" }

  mutating func line(_ text: String = "") {
    lines.append(text.isEmpty ? "" : String(repeating: "  ", count: depth) + text)
  }

  mutating func indented(_ text: String) {
    line("  " + text)
  }

  /// A blank line, unless one is there or a block has just begun.
  mutating func gap() {
    if let last = lines.last, !last.isEmpty, !last.hasSuffix("{") { lines.append("") }
  }

  mutating func comment(_ text: String) {
    guard !text.isEmpty else { return }
    for part in text.split(separator: "\n", omittingEmptySubsequences: false) {
      line(part.isEmpty ? "///" : "/// \(part)")
    }
  }

  mutating func block(_ opening: String, closing: String = "}", _ body: (inout SourceWriter) -> Void) {
    line(opening)
    depth += 1
    body(&self)
    depth -= 1
    line(closing)
  }
}
