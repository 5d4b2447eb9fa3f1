import Glibc
import NIOCore
import Synchronization

/// The `Date` field, written once a second.
final class HTTPDate: Sendable {
  private let cached = Mutex<(second: Int, field: [UInt8])>((-1, []))

  func write(to out: inout ByteBuffer) {
    let now = WallClock.now.seconds
    cached.withLock { cached in
      if cached.second != Int(now) {
        var field = ByteBuffer()
        field.writeStaticString("Date: ")
        Moments.write(httpDate: now, to: &field)
        field.writeStaticString("\r\n")
        cached = (Int(now), Array(buffer: field))
      }
      out.writeBytes(cached.field)
    }
  }
}

/// What the calendar says, as opposed to the loops' monotonic time.
enum WallClock {
  static var now: Moments.Instant {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Moments.Instant(seconds: Int64(time.tv_sec), nanos: Int32(time.tv_nsec))
  }
}
