import NIOCore

/// The one deadline a connection has at a time, on one timer.
///
/// Moving the deadline later costs nothing: the timer fires at its old time, finds it is early and sleeps on.
/// A connection that serves a thousand requests a second would otherwise cancel and set two thousand timers.
final class ConnectionDeadline {
  private var deadline: NIODeadline?
  private var timer: (at: NIODeadline, task: Scheduled<Void>)?

  func arm(until deadline: NIODeadline, on eventLoop: any EventLoop, _ fire: @escaping @Sendable () -> Void) {
    self.deadline = deadline
    if let timer {
      if timer.at <= deadline { return }
      timer.task.cancel()
    }
    schedule(at: deadline, on: eventLoop, fire)
  }

  func disarm() {
    deadline = nil
  }

  func cancel() {
    deadline = nil
    timer?.task.cancel()
    timer = nil
  }

  private func schedule(
    at time: NIODeadline, on eventLoop: any EventLoop, _ fire: @escaping @Sendable () -> Void
  ) {
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    let task = eventLoop.scheduleTask(deadline: time) { bound.value.wake(on: eventLoop, fire) }
    timer = (time, task)
  }

  private func wake(on eventLoop: any EventLoop, _ fire: @escaping @Sendable () -> Void) {
    timer = nil
    guard let deadline else { return }
    if deadline > eventLoop.now { return schedule(at: deadline, on: eventLoop, fire) }
    self.deadline = nil
    fire()
  }
}
