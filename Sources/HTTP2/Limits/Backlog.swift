import NIOCore

/// Bytes that wait, and since when too few of them have gone: all that waited then, or `enough` of them. That some
/// have is not sufficient, or a peer that takes one byte in time could have us keep the others for ever.
struct Backlog {
  /// `nil` while nothing waits.
  private(set) var since: NIODeadline?
  private var goal = 0
  private let enough: Int

  init(enough: Int = .max) {
    self.enough = enough
  }

  /// `gone` is all that ever went.
  mutating func see(waiting: Int, gone: Int, _ now: NIODeadline) {
    guard waiting > 0 else { return since = nil }
    guard since == nil || gone >= goal else { return }
    since = now
    goal = gone + min(waiting, enough)
  }
}
