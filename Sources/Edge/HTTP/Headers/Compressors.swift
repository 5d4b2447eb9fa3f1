import Gzip
import NIOCore
import NIOPosix
import RPC
import Synchronization

/// The states for compressing answers. Each takes a quarter of a megabyte, so there are few, made when they are first needed;
/// while all are in use, answers go out as they are, which is better than having them wait.
final class Compressors: Sendable {
  private struct State {
    var idle: [Compressor] = []
    var count = 0
  }

  private let limit: Int
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  /// Nil when there is none left.
  func take() -> Compressor? {
    let found = state.withLock { state -> (idle: Compressor?, isRoom: Bool) in
      if let idle = state.idle.popLast() { return (idle, false) }
      guard state.count < limit else { return (nil, false) }
      state.count += 1
      return (nil, true)
    }
    return found.isRoom ? Compressor() : found.idle
  }

  func give(_ compressor: Compressor) {
    compressor.reset()
    state.withLock { $0.idle.append(compressor) }
  }

  /// The whole of it, between pieces of which the others have their turn; nil when no state is free.
  func compressed(_ body: ByteBuffer) async -> ByteBuffer? {
    guard let compressor = take() else { return nil }
    defer { give(compressor) }
    var rest = body
    var out = ByteBuffer()
    out.reserveCapacity(body.readableBytes / 4 + 64)
    while let piece = rest.readSlice(length: min(rest.readableBytes, Self.pieceBytes)) {
      let isLast = rest.readableBytes == 0
      guard compressor.compress(piece, .init(isLast: isLast), into: &out) else { return nil }
      if isLast { return out }
      await Self.letOthersGo()
    }
    return nil
  }

  /// Compressing it takes a fraction of a millisecond.
  static let pieceBytes = 32 << 10

  /// The loop's other connections first, where this runs on a loop.
  static func letOthersGo() async {
    if let loop = MultiThreadedEventLoopGroup.currentEventLoop {
      await EventLoopTaskExecutor.current(on: loop).letOthersGo()
    }
  }
}

/// One body at a time, which one task works on.
final class Compressor: @unchecked Sendable {
  enum Step {
    /// More may come, and what has come is to be readable now.
    case flush
    case more
    case last

    init(isLast: Bool) { self = isLast ? .last : .more }
  }

  private var deflater = GzipDeflater()

  /// Appends what comes of the piece; false when there is no memory for it.
  func compress(_ piece: ByteBuffer, _ step: Step, into out: inout ByteBuffer) -> Bool {
    piece.withUnsafeReadableBytes { input in
      var rest = input
      while true {
        out.reserveCapacity(minimumWritableBytes: Self.roomBytes)
        var isDone: Bool?
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.roomBytes) { room in
          let (produced, done) = deflater.deflate(&rest, step.flush, into: room)
          isDone = done
          return produced
        }
        guard let isDone else { return false }
        if isDone { return true }
      }
    }
  }

  func reset() { deflater.reset() }

  private static let roomBytes = 4 << 10
}

extension Compressor.Step {
  fileprivate var flush: GzipDeflater.Flush {
    switch self {
    case .flush: .sync
    case .more: .none
    case .last: .finish
    }
  }
}

/// What an answer that is sent as it comes is compressed with; given back when its task has ended, and nobody can be at work
/// on it any more.
final class StreamCompressor: @unchecked Sendable {
  private let pool: Compressors
  private(set) var compressor: Compressor?

  init(_ pool: Compressors) { self.pool = pool }

  /// False when there is none left.
  func begin() -> Bool {
    compressor = pool.take()
    return compressor != nil
  }

  deinit { if let compressor { pool.give(compressor) } }
}
