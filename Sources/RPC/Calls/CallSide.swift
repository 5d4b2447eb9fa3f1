import NIOCore

/// One side of a call as the task that reads and writes it sees it. The call itself lives on its event loop; a
/// task usually does too, and then nothing below leaves the thread. A task that went elsewhere hops.
protocol CallSide: MessageSource, MessageSink {
  var eventLoop: any EventLoop { get }

  // On the loop only:
  var reader: Waiters<ByteBuffer?> { get set }
  var writers: Waiters<Void> { get set }
  /// Throws the error the call ended with.
  func takeMessage() throws -> NextMessage
  /// Queues the message; false when so much is queued that the writer should wait.
  func queueMessage(_ message: WireMessage) throws -> Bool

  // On any thread:
  /// Compresses the message, if `compressed` and the call compresses.
  func prepare(_ message: ByteBuffer, compressed: Bool) throws -> WireMessage
}

extension CallSide {
  func nextMessage() async throws -> ByteBuffer? {
    if eventLoop.inEventLoop, reader.mayGoOn() {
      switch try takeMessage() {
      case .message(let message):
        reader.took(message)
        return message
      case .end: return nil
      case .wait: break
      }
    }
    let wait = Wait()
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        onLoop { self.awaitMessage(continuation, wait) }
      }
    } onCancel: {
      onLoop { self.reader.cancel(wait) }
    }
  }

  private func awaitMessage(_ continuation: UnsafeContinuation<ByteBuffer?, any Error>, _ wait: Wait) {
    guard reader.mayGoOn() else {
      reader.pause()
      reader.add(continuation, wait)
      EventLoopTaskExecutor.current(on: eventLoop).afterSockets {
        self.reader.beginTurn()
        self.wakeReader()
      }
      return
    }
    do {
      switch try takeMessage() {
      case .message(let message):
        reader.took(message)
        continuation.resume(returning: message)
      case .end: continuation.resume(returning: nil)
      case .wait:
        reader.beginTurn()
        reader.add(continuation, wait)
      }
    } catch {
      continuation.resume(throwing: error)
    }
  }

  /// Gives a waiting reader what there is now.
  func wakeReader() {
    guard !reader.isEmpty, !reader.isPaused else { return }
    do {
      switch try takeMessage() {
      case .message(let message): reader.resume(returning: message)
      case .end: reader.resume(returning: nil)
      case .wait: break
      }
    } catch {
      reader.resume(throwing: error)
    }
  }

  func writeMessage(_ message: ByteBuffer, compressed: Bool) async throws {
    let message = try prepare(message, compressed: compressed)
    if eventLoop.inEventLoop, try queueMessage(message) { return }
    let isQueued = eventLoop.inEventLoop
    let wait = Wait()
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        onLoop { self.awaitRoom(isQueued ? nil : message, continuation, wait) }
      }
    } onCancel: {
      onLoop { self.writers.cancel(wait) }
    }
  }

  private func awaitRoom(
    _ message: WireMessage?, _ continuation: UnsafeContinuation<Void, any Error>, _ wait: Wait
  ) {
    do {
      // An empty message would be sent as one, so only a new one is queued here.
      if let message, try queueMessage(message) {
        continuation.resume()
      } else {
        writers.add(continuation, wait)
      }
    } catch {
      continuation.resume(throwing: error)
    }
  }

  func onLoop(_ body: @escaping @Sendable () -> Void) {
    if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
  }
}

/// One suspension of one task. Its cancellation comes from another thread: before it, during it or after it.
final class Wait: @unchecked Sendable {
  // On the loop only:
  fileprivate var isCancelled = false
}

/// Tasks suspended until something happens to their call.
struct Waiters<Value: Sendable> {
  typealias Continuation = UnsafeContinuation<Value, any Error>

  private var suspended: [(continuation: Continuation, wait: Wait?)] = []
  /// How often a task has found something at once, one after the other.
  private var found = 0
  /// A task waits for the loop to look after the others, whatever there is for it.
  private(set) var isPaused = false

  var isEmpty: Bool { suspended.isEmpty }

  /// False once a task has found something 256 times in a row, or 2 MiB. A window holds fifty thousand messages of no
  /// bytes, or sixty that inflate to 4 MiB each: whoever takes them all keeps the loop from its other connections
  /// meanwhile.
  mutating func mayGoOn() -> Bool {
    found += 1
    return found <= 256
  }

  mutating func took(_ message: ByteBuffer) { found += message.readableBytes >> 13 }

  mutating func pause() { isPaused = true }

  mutating func beginTurn() {
    isPaused = false
    found = 0
  }

  /// Without a `wait` the task is not to be woken by its cancellation.
  mutating func add(_ continuation: Continuation, _ wait: Wait? = nil) {
    if let wait, wait.isCancelled {
      continuation.resume(throwing: CancellationError())
    } else {
      suspended.append((continuation, wait))
    }
  }

  mutating func resume(returning value: Value) {
    guard !suspended.isEmpty else { return }
    let resumed = suspended
    suspended.removeAll(keepingCapacity: true)
    for (continuation, _) in resumed { continuation.resume(returning: value) }
  }

  mutating func resume(throwing error: any Error) {
    let resumed = suspended
    suspended.removeAll()
    for (continuation, _) in resumed { continuation.resume(throwing: error) }
  }

  /// Wakes the one task whose wait it is, or has it not wait at all; does nothing once it has been woken.
  mutating func cancel(_ wait: Wait) {
    wait.isCancelled = true
    guard let index = suspended.firstIndex(where: { $0.wait === wait }) else { return }
    suspended.remove(at: index).continuation.resume(throwing: CancellationError())
  }
}

/// What a reader finds.
enum NextMessage {
  case message(ByteBuffer)
  case end
  case wait
}
