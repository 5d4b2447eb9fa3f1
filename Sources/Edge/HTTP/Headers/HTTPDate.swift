import NIOCore
import Synchronization

/// The value of the `Date` field, written once a second.
final class HTTPDate: Sendable {
  private let cached = Mutex<(second: Int, value: [UInt8])>((-1, []))

  var value: [UInt8] {
    let now = WallClock.now.seconds
    return cached.withLock { cached in
      if cached.second != Int(now) {
        var value = ByteBuffer()
        Moments.write(httpDate: now, to: &value)
        cached = (Int(now), Array(buffer: value))
      }
      return cached.value
    }
  }

  func write(to out: inout ByteBuffer) {
    out.writeStaticString("Date: ")
    out.writeBytes(value)
    out.writeStaticString("\r\n")
  }
}
