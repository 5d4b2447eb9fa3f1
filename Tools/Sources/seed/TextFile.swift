import Glibc

/// A file being written, through a large buffer. Numbers are written digit by digit: two million lines of string
/// interpolation would take longer than all the rest.
struct TextFile {
  private let file: UnsafeMutablePointer<FILE>
  private var buffer: [UInt8] = []
  private var isSound = true

  private static let bufferSize = 1 << 20

  /// Nil, with `errno` set, when it cannot be opened.
  init?(path: String) {
    guard let file = fopen(path, "w") else { return nil }
    self.file = file
    buffer.reserveCapacity(Self.bufferSize + 1024)
  }

  mutating func write(_ text: String) {
    buffer.append(contentsOf: text.utf8)
    flushIfFull()
  }

  mutating func write(_ text: [UInt8]) {
    buffer.append(contentsOf: text)
    flushIfFull()
  }

  /// Decimal, with zeros in front up to `width`.
  mutating func write(_ number: Int, width: Int) {
    var divisor = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      buffer.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }

  mutating func writeByte(_ character: Unicode.Scalar) { buffer.append(UInt8(ascii: character)) }

  /// False, with `errno` set, when not everything was written.
  mutating func close() -> Bool {
    flush()
    return fclose(file) == 0 && isSound
  }

  private mutating func flushIfFull() {
    if buffer.count >= Self.bufferSize { flush() }
  }

  private mutating func flush() {
    isSound = fwrite(buffer, 1, buffer.count, file) == buffer.count && isSound
    buffer.removeAll(keepingCapacity: true)
  }
}
