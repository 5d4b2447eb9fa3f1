/// Where to begin looking in an index whose entries are taken from the left.
///
/// An entry that was taken stays in the index until no transaction can see it any more. While somebody holds an old
/// transaction open that is for long, and whoever looks from the left walks over ever more of them. So a worker begins
/// where it left off. But an entry may turn up to the left of that: of a transaction that had its place early and
/// committed late, or a worker that died. Therefore now and then it begins where it was a while ago, and once in a longer
/// while at the very left; the more that costs, the more seldom.
struct ScanFloors<Position: Comparable & Sendable>: Sendable {
  enum Depth: Hashable {
    case recent, aged, whole
  }

  private let start: Position
  /// Behind what was taken last, and what that was at times before.
  private var current: [Position]
  private var recent: [Position]
  private var nextRecent: [Position]
  private var aged: [Position]
  private var nextAged: [Position]

  private var turnRecent: ContinuousClock.Instant
  private var turnAged: ContinuousClock.Instant
  private var lookAged: ContinuousClock.Instant
  private var lookWhole: ContinuousClock.Instant

  /// `recent` is between once and twice this old.
  private static var recentAge: Duration { .milliseconds(250) }
  private static var agedAge: Duration { .seconds(5) }
  private static var agedPause: Duration { .seconds(1) }
  private static var wholePause: Duration { .seconds(10) }

  init(count: Int, start: Position, now: ContinuousClock.Instant) {
    self.start = start
    current = Array(repeating: start, count: count)
    (recent, nextRecent, aged, nextAged) = (current, current, current, current)
    (turnRecent, turnAged, lookAged, lookWhole) = (now, now, now, now)
  }

  /// Where to begin now.
  mutating func floors(_ now: ContinuousClock.Instant) -> (floors: [Position], depth: Depth) {
    if now - turnRecent >= Self.recentAge {
      recent = nextRecent
      nextRecent = current
      turnRecent = now
    }
    if now - turnAged >= Self.agedAge {
      aged = nextAged
      nextAged = current
      turnAged = now
    }
    if now >= lookWhole { return (Array(repeating: start, count: current.count), .whole) }
    if now >= lookAged { return (aged, .aged) }
    return (recent, .recent)
  }

  /// Such a look has been taken, and how long it took.
  mutating func looked(_ depth: Depth, took: Duration, _ now: ContinuousClock.Instant) {
    switch depth {
    case .recent: break
    case .aged: lookAged = now + max(Self.agedPause, took * 20)
    case .whole:
      lookAged = now + Self.agedPause
      lookWhole = now + max(Self.wholePause, took * 50)
    }
  }

  /// Everything before `position` that was there to see has been taken.
  mutating func taken(_ index: Int, upTo position: Position) {
    if position > current[index] { current[index] = position }
  }
}
