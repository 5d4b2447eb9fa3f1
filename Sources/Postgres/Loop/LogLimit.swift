internal import NIOCore

/// How often something may be logged that happens to every caller at once. No I/O.
struct LogLimit {
  private let linesPerSecond: Int
  private var second = NIODeadline.distantPast
  private var lines = 0
  private var suppressed = 0

  init(linesPerSecond: Int) { self.linesPerSecond = linesPerSecond }

  /// Nil if there have been enough lines for now; else how often that was so since the last line.
  mutating func admit(now: NIODeadline) -> Int? {
    if now - second >= .seconds(1) { (second, lines) = (now, 0) }
    guard lines < linesPerSecond else {
      suppressed += 1
      return nil
    }
    lines += 1
    defer { suppressed = 0 }
    return suppressed
  }
}
