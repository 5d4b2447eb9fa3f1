import NIOCore

// How long a client may take, and what follows when it takes longer.
extension HTTPConnection {
  func arm(_ amount: TimeAmount) {
    guard let context else { return }
    arm(until: context.eventLoop.now + amount)
  }

  private func arm(until time: NIODeadline) {
    guard let context else { return }
    let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
    deadline.arm(until: time, on: context.eventLoop) { connection.value.timeOut() }
  }

  /// The clock of a body that is still coming. A streamed one may take long as a whole, but not while its service
  /// waits for the next piece: imports are few at a time, and silent clients would keep the others out.
  func armBody(of exchange: HTTPExchange) {
    guard let context, exchange.hasBody, !exchange.isRequestComplete else { return }
    guard exchange.isStreamed else { return arm(until: exchange.start + limits.bodyDeadline) }
    let end = exchange.start + limits.uploadDeadline
    let isAwaited = exchange.bodyWaiter != nil
    arm(until: isAwaited ? min(end, context.eventLoop.now + limits.bodyIdleDeadline) : end)
  }

  /// The clock of a send buffer that is full.
  func armStall() {
    unsentBytes = bufferedBytes
    arm(limits.writeStallDeadline)
  }

  private var bufferedBytes: Int {
    (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
  }

  private func timeOut() {
    switch phase {
    case .flushing, .lingering:
      endUnlessReading()
    case .idle, .closed:
      context?.close(promise: nil)
    case .head:
      answer(.headerTimeout)
    case .exchange(let exchange) where exchange.response == .none && !exchange.isRequestComplete:
      exchange.task?.cancel()
      exchange.fail(BodyTimeout())
      respond(refusal(.bodyTimeout, of: exchange), to: exchange)
    case .exchange:
      endUnlessReading()
    }
  }

  /// A client that took some of its answer since the clock was set is slow, not gone.
  private func endUnlessReading() {
    if bufferedBytes < unsentBytes { armStall() } else { context?.close(promise: nil) }
  }
}
