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
      self.perform(self.timers.check(self.sight, now: eventLoop.now))
      self.releaseBufferIfIdle()
      if self.session != nil { self.scheduleTick(on: eventLoop) }
    }
  }

  private var sight: ConnectionTimers.Sight {
    ConnectionTimers.Sight(
      bytesIn: counted.bytesReceived, bytesOut: counted.bytesSent, dataOut: counted.dataBytesSent,
      streamsOpened: counted.streamsOpened, openStreams: streamCount, isIntroduced: isIntroduced,
      headerBlocks: limits.scanner.headerBlocks,
      headerBlock: limits.scanner.isInHeaderBlock ? limits.scanner.headerBlocks : 0, stall: stall,
      isDraining: isDraining)
  }

  private var stall: ConnectionTimers.Stall? {
    guard context?.channel.isWritable == true else { return .socket }
    return queuedBytes > 0 ? .window : nil
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
