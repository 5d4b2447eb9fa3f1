import NIOCore

// How long a client may take, and what follows when it takes longer.
extension HTTP1Connection {
  func arm(_ amount: TimeAmount) {
    guard let context else { return }
    arm(until: context.eventLoop.now + amount)
  }

  private func arm(until time: NIODeadline) {
    guard let context else { return }
    let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
    deadline.arm(until: time, on: context.eventLoop) { connection.value.timeOut() }
  }

  func bodyClockChanged(of exchange: HTTPExchange) {
    // While the client is to take what fills the send buffer, that clock runs.
    guard isCurrent(exchange), let context, context.channel.isWritable else { return }
    if let end = exchange.bodyDeadline(now: context.eventLoop.now) {
      arm(until: end)
    } else {
      deadline.disarm()
    }
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
      refuse(.headerTimeout)
    case .exchange(let exchange) where exchange.response == .none && !exchange.isRequestComplete:
      exchange.failBody(.bodyTimeout, BodyTimeout())
    case .exchange:
      endUnlessReading()
    }
  }

  /// A client that took some of its answer since the clock was set is slow, not gone.
  private func endUnlessReading() {
    if bufferedBytes < unsentBytes { armStall() } else { context?.close(promise: nil) }
  }
}

extension HTTPExchange {
  /// By when the client must have sent the rest of its body, or more of it; nil when all of it is here. A streamed one
  /// may take long as a whole, but not while its service waits for the next piece: imports are few at a time, and silent
  /// clients would keep the others out.
  func bodyDeadline(now: NIODeadline) -> NIODeadline? {
    guard hasBody, !isRequestComplete else { return nil }
    guard isStreamed else { return start + core.limits.bodyDeadline }
    let end = start + core.limits.uploadDeadline
    return isBodyAwaited ? min(end, now + core.limits.bodyIdleDeadline) : end
  }
}
