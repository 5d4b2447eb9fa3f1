import NIOCore

/// One timer for all deadlines of a connection, set to the earliest. Most calls end long before their deadline,
/// so a timer of its own for each would be set only to be cancelled.
///
/// When it fires, its owner ends what is due and names the next deadline. Used on the loop only.
final class DeadlineTimer {
  private let eventLoop: any EventLoop
  private let expire: (NIODeadline) -> NIODeadline?
  private var scheduled: Scheduled<Void>?
  private var earliest = NIODeadline.distantFuture

  init(on eventLoop: any EventLoop, expire: @escaping (_ now: NIODeadline) -> NIODeadline?) {
    self.eventLoop = eventLoop
    self.expire = expire
  }

  func include(_ deadline: NIODeadline) {
    guard deadline < earliest else { return }
    earliest = deadline
    scheduled?.cancel()
    scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in self?.fire() }
  }

  func cancel() {
    scheduled?.cancel()
    scheduled = nil
  }

  private func fire() {
    earliest = .distantFuture
    scheduled = nil
    if let next = expire(.now()) { include(next) }
  }
}
