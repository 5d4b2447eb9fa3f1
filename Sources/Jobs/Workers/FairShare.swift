/// How one fetch is divided among the lanes that tenants are spread over, so that none waits for another's thousands.
struct FairShare {
  static let lanes = 64

  /// Where the next fetch begins.
  private(set) var firstLane = 0
  /// The lanes that had jobs in each of the last few fetches, a bit each.
  private var seen: [UInt64] = []

  private static let memory = 4

  /// The most to take from each lane, when `most` are wanted in all.
  func share(of most: Int) -> Int {
    let active = max(1, seen.reduce(0, |).nonzeroBitCount)
    return max(1, (most + active - 1) / active)
  }

  /// Learns from a fetch, and says whether there may be more where it came from.
  /// - Parameters:
  ///   - lanes: the lane of each job, in any order; 64 is not one of those that take turns.
  ///   - isHeldBack: the queue's limits allowed fewer than `most`.
  mutating func fetched(_ lanes: [Int], most: Int, share: Int, isHeldBack: Bool) -> Bool {
    var counts = [Int](repeating: 0, count: Self.lanes)
    var bits: UInt64 = 0
    for lane in lanes where lane < Self.lanes {
      counts[lane] += 1
      bits |= 1 << UInt64(lane)
    }
    if seen.count == Self.memory { seen.removeFirst() }
    seen.append(bits)
    guard lanes.count >= most || isHeldBack else { return counts.contains { $0 >= share } }
    // Cut short: the lanes behind the last one served come first the next time.
    for step in (0..<Self.lanes).reversed() {
      let lane = (firstLane + step) % Self.lanes
      if counts[lane] > 0 {
        firstLane = (lane + 1) % Self.lanes
        break
      }
    }
    return true
  }

  /// Puts a batch in the order in which to run it: by priority, and in each as the lanes take turns.
  static func arrange(_ jobs: inout [FetchedJob]) {
    guard jobs.count > 1 else { return }
    jobs.sort { ($0.priority, $0.seq) < ($1.priority, $1.seq) }
    var turns = [Int](repeating: 0, count: (lanes + 1) * 4)
    var placed: [(turn: Int, index: Int)] = []
    placed.reserveCapacity(jobs.count)
    for (index, job) in jobs.enumerated() {
      let place = job.priority * (lanes + 1) + job.lane
      placed.append((job.priority << 32 | turns[place], index))
      turns[place] += 1
    }
    placed.sort { ($0.turn, $0.index) < ($1.turn, $1.index) }
    jobs = placed.map { jobs[$0.index] }
  }
}
