import HTTP2
import NIOCore

// The attempts of a call: `AttemptPlan` decides, this carries it out. On the loop only.
extension ClientCall {
  func begin() {
    let bytes = metadata.listBytes
    let limit = channel.configuration.http2.maxHeaderListBytes
    guard bytes <= limit else {
      return end(
        with: RPCError(
          .resourceExhausted, "the request metadata is \(bytes) bytes, over the limit of \(limit)"))
    }
    attemptAgain(replacing: false)
    scheduleHedge()
  }

  private func attemptAgain(replacing: Bool) {
    if let attempt, !attempt.isFinished { others.append(attempt) }
    plan.begin(replacing: replacing)
    let attempt = ClientAttempt(self, previous: plan.begun - 1)
    self.attempt = attempt
    channel.submit(attempt)
    limitWait()
  }

  /// Whether an attempt has a stream.
  var isOpen: Bool { attempt?.isOpen == true || others.contains(where: \.isOpen) }
  /// Whether an attempt takes more without much being queued.
  var hasRoom: Bool { attempt?.hasRoom == true || others.contains(where: \.hasRoom) }

  /// On all attempts that may still become the one.
  func forEachAttempt(_ body: (ClientAttempt) -> Void) {
    attempt.map(body)
    others.forEach(body)
  }

  // MARK: From the attempts

  /// The attempt has a stream: it is sent what the call has written so far.
  func opened(_ attempt: ClientAttempt) {
    patience?.cancel()
    patience = nil
    replay.forEach(attempt.write)
    if isWritingFinished { attempt.finishWriting() }
    if replay.isFull { commit(to: attempt) }
    opening.resume(returning: ())
    if attempt.hasRoom { roomMade() }
  }

  /// The server has begun to answer. From now on the task sees what this attempt receives.
  func headersReceived(_ attempt: ClientAttempt) {
    commit(to: attempt)
    headers.resume(returning: attempt.state.initialMetadata)
  }

  func messagesReceived() {
    if plan.isCommitted { wakeReader() }
  }

  func roomMade() {
    writers.resume(returning: ())
  }

  func ended(_ attempt: ClientAttempt) {
    guard !isFinished else { return }
    others.removeAll { $0 === attempt }
    if channel.isShutDown { plan.stop() }
    let decision = plan.ended(
      attempt.state.error?.code ?? .ok, reach: attempt.state.reach, pushback: attempt.state.pushback,
      throttle: settings.throttle, random: .random(in: 0...1))
    if decision == .finish { return finish(as: attempt) }
    lastFailure = attempt.state.error
    avoid(attempt)
    switch decision {
    case .finish:
      break
    case .wait:
      // A server may have forbidden what was to follow.
      if plan.hedgingDelay == nil { cancelNext() }
      limitWait()
    case .replace:
      method.metrics?.attemptedAgain(.transparent)
      attemptAgain(replacing: true)
    case .again(after: .zero):
      attemptNext()
    case .again(let pause):
      // A pause that outlasts the deadline would only keep the caller from learning what has happened.
      cancelNext()
      if let deadline, .now() + TimeAmount(pause) >= deadline {
        if !plan.isRunning { finish(as: attempt) }
      } else {
        scheduleNext(after: pause) { $0.attemptNext() }
      }
    }
  }

  /// The client shuts down. Attempts under way may still end well, but none follows them.
  func endPause(with error: RPCError) {
    cancelNext()
    plan.stop()
    if !plan.isRunning { end(with: error) }
  }

  // MARK: Further attempts

  func attemptNext() {
    cancelNext()
    method.metrics?.attemptedAgain(plan.isHedging ? .hedge : .retry)
    forEachAttempt(avoid)
    attemptAgain(replacing: false)
    scheduleHedge()
  }

  private func scheduleHedge() {
    guard !isFinished, next == nil, let delay = plan.hedgingDelay else { return }
    scheduleNext(after: delay) { call in
      if call.settings.throttle.isOpen { call.attemptNext() }
    }
  }

  private func scheduleNext(after pause: Duration, _ body: @escaping @Sendable (ClientCall) -> Void) {
    channel.pausing[ObjectIdentifier(self)] = self
    next = schedule(after: pause) { call in
      call.cancelNext()
      body(call)
    }
  }

  private func cancelNext() {
    guard let next else { return }
    self.next = nil
    next.cancel()
    channel.pausing[ObjectIdentifier(self)] = nil
  }

  private func avoid(_ attempt: ClientAttempt) {
    if let place = attempt.place, !avoided.contains(place) { avoided.append(place) }
  }

  private func schedule(
    after pause: Duration, _ body: @escaping @Sendable (ClientCall) -> Void
  ) -> Scheduled<Void> {
    eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) {
      if !self.isFinished { body(self) }
    }
  }

  /// A call without a stream waits for a connection, but not for ever.
  private func limitWait() {
    guard case .wait(let longest?) = readiness, patience == nil, !isFinished, plan.isRunning, !isOpen
    else { return }
    patience = schedule(after: longest) { $0.end(with: $0.channel.failure) }
  }

  // MARK: One of them is chosen

  private func finish(as attempt: ClientAttempt) {
    commit(to: attempt)
    finish(attempt.state.error)
  }

  private func commit(to attempt: ClientAttempt) {
    guard !plan.isCommitted else { return }
    plan.commit()
    if let last = self.attempt, last !== attempt {
      others.append(last)
      others.removeAll { $0 === attempt }
      self.attempt = attempt
    }
    release()
  }

  /// Lets go of what only further attempts would need.
  func release() {
    cancelNext()
    patience?.cancel()
    patience = nil
    for other in others { other.cancel(with: .superseded) }
    others = []
    settings.replayBudget.giveBack(replay.count)
    replay = ReplayBuffer()
  }

  /// Keeps a message for further attempts. One too many, and there are none.
  func keep(_ message: WireMessage) {
    let occupied = replay.append(message)
    guard !settings.replayBudget.take(occupied) || replay.count > settings.retries.maxReplayBytes
    else { return }
    let open = others.first(where: \.isOpen) ?? attempt
    if let open, open.isOpen {
      commit(to: open)
    } else {
      replay.isFull = true
      plan.stop()
      if plan.isRunning { cancelNext() }
    }
  }
}

extension RPCError {
  fileprivate static let superseded = RPCError(.cancelled, "another attempt was chosen")
}
