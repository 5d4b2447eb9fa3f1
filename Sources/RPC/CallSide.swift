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
  func queueMessage(_ message: ByteBuffer) throws -> Bool
}

extension CallSide {
  func nextMessage() async throws -> ByteBuffer? {
    if eventLoop.inEventLoop {
      switch try takeMessage() {
      case .message(let message): return message
      case .end: return nil
      case .wait: break
      }
    }
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        onLoop { self.awaitMessage(continuation) }
      }
    } onCancel: {
      onLoop { self.reader.cancel() }
    }
  }

  private func awaitMessage(_ continuation: UnsafeContinuation<ByteBuffer?, any Error>) {
    do {
      switch try takeMessage() {
      case .message(let message): continuation.resume(returning: message)
      case .end: continuation.resume(returning: nil)
      case .wait: reader.wait(continuation)
      }
    } catch {
      continuation.resume(throwing: error)
    }
  }

  /// Gives a waiting reader what there is now.
  func wakeReader() {
    guard !reader.isEmpty else { return }
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

  func writeMessage(_ message: ByteBuffer) async throws {
    if eventLoop.inEventLoop, try queueMessage(message) { return }
    let isQueued = eventLoop.inEventLoop
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        onLoop { self.awaitRoom(isQueued ? nil : message, continuation) }
      }
    } onCancel: {
      onLoop { self.writers.cancel() }
    }
  }

  private func awaitRoom(_ message: ByteBuffer?, _ continuation: UnsafeContinuation<Void, any Error>) {
    do {
      // An empty message would be sent as one, so only a new one is queued here.
      if let message, try queueMessage(message) {
        continuation.resume()
      } else {
        writers.wait(continuation)
      }
    } catch {
      continuation.resume(throwing: error)
    }
  }

  func onLoop(_ body: @escaping @Sendable () -> Void) {
    if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
  }
}

/// Tasks suspended until something happens to their call.
struct Waiters<Value: Sendable> {
  private var continuations: [UnsafeContinuation<Value, any Error>] = []
  /// A cancellation that overtook the wait it was meant for: they come from different threads.
  private var isCancelled = false

  var isEmpty: Bool { continuations.isEmpty }

  mutating func wait(_ continuation: UnsafeContinuation<Value, any Error>) {
    if isCancelled {
      isCancelled = false
      continuation.resume(throwing: CancellationError())
    } else {
      continuations.append(continuation)
    }
  }

  mutating func resume(returning value: Value) {
    guard !continuations.isEmpty else { return }
    let resumed = continuations
    continuations.removeAll(keepingCapacity: true)
    for continuation in resumed { continuation.resume(returning: value) }
  }

  mutating func resume(throwing error: any Error) {
    let resumed = continuations
    continuations.removeAll()
    for continuation in resumed { continuation.resume(throwing: error) }
  }

  mutating func cancel() {
    if isEmpty { isCancelled = true } else { resume(throwing: CancellationError()) }
  }
}

/// What a reader finds.
enum NextMessage {
  case message(ByteBuffer)
  case end
  case wait
}
