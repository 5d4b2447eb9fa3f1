import NIOCore

// The one timer of a connection.
extension HTTP2Connection {
  func startTimers(on eventLoop: any EventLoop) {
    let now = eventLoop.now
    limits = ConnectionLimits(configuration, role: role, now: now)
    timers = ConnectionTimers(configuration, jitter: .random(in: -1...1), now: now)
    scheduleTick(on: eventLoop)
  }

  private func scheduleTick(on eventLoop: any EventLoop) {
    tick = eventLoop.assumeIsolated().scheduleTask(in: timers.period) {
      guard self.session != nil else { return }
      self.ticks += 1
      let now = eventLoop.now
      self.perform(self.timers.check(self.sight, now: now))
      self.resetStalledStreams(now)
      self.sendOwedResets(now)
      if self.session != nil { self.scheduleTick(on: eventLoop) }
    }
  }

  private var sight: ConnectionTimers.Sight {
    ConnectionTimers.Sight(
      bytesIn: counted.bytesReceived, bytesOut: counted.bytesSent, dataOut: counted.dataBytesSent,
      streamsOpened: counted.streamsOpened, openStreams: streamCount, isIntroduced: isIntroduced,
      headerBlocks: limits.scanner.headerBlocks,
      headerBlock: limits.scanner.isInHeaderBlock ? limits.scanner.headerBlocks : 0, unsentBytes: unsentBytes,
      queuedBytes: streams.reduce(0) { $0 + $1.unsentBytes }, isDraining: isDraining)
  }

  /// The connection as a whole may be read from all the time, and some of its streams never.
  private func resetStalledStreams(_ now: NIODeadline) {
    guard let timeout = configuration.windowStallTimeout, !isTerminating else { return }
    for stream in streams where stream.isStalled(for: TimeAmount(timeout), now: now) {
      stream.reset(.enhanceYourCalm)
    }
  }

  /// A channel is writable until a good deal waits in it, so that alone does not say that the socket takes anything.
  private var unsentBytes: Int {
    guard let channel = context?.channel else { return 0 }
    let waiting = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    return max(waiting, channel.isWritable ? 0 : 1)
  }

  private func perform(_ action: ConnectionTimers.Action?) {
    switch action {
    case .none: break
    case .ping: ping()
    case .drain(let reason):
      closeReason = closeReason ?? reason
      drain()
    case .finishDraining: finishDraining()
    case .terminate(let code, let reason): terminate(code, reason: reason)
    case .close(let reason):
      closeReason = closeReason ?? reason
      context?.close(promise: nil)
    }
  }
}
