import Testing

@testable import RPC

@Suite("What a server has to give") struct ServerBudgetTests {
  @Test("is never more than the limit, whichever loops take it", arguments: [0, 1, 2, 7, 64, 1000])
  func limit(of limit: Int) {
    let pool = ServerBudget(limit: limit, loops: 2, maxBatch: 64)
    var loops = [LoopBudget(pool), LoopBudget(pool)]
    var running = [0, 0]
    var most = 0
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      let loop = Int.random(in: 0...1, using: &random)
      // More often begun than ended, so that the limit is met.
      if Int.random(in: 0..<5, using: &random) < 3 {
        if loops[loop].take() { running[loop] += 1 }
      } else if running[loop] > 0 {
        running[loop] -= 1
        loops[loop].give()
      }
      most = max(most, running[0] + running[1])
    }
    #expect(most <= limit)
    #expect(most >= limit * 3 / 4)
  }

  @Test("is all to be had again when it has been given back", arguments: [1, 2, 16, 100, 1000])
  func returned(of limit: Int) {
    let pool = ServerBudget(limit: limit, loops: 4, maxBatch: 64)
    var first = LoopBudget(pool)
    var second = LoopBudget(pool)
    for _ in 0..<3 {
      var taken = 0
      while first.take() { taken += 1 }
      #expect(taken >= limit * 3 / 4)
      for _ in 0..<taken { first.give() }
      taken = 0
      while second.take() { taken += 1 }
      #expect(taken >= limit * 3 / 4)
      for _ in 0..<taken { second.give() }
    }
  }

  @Test("is given in whole or not at all", arguments: [1000, 1_000_000])
  func amounts(limit: Int) {
    var loop = LoopBudget(ServerBudget(limit: limit, loops: 2, maxBatch: 64))
    let taken = [limit + 1, limit - 10, 11, 10].map { loop.take($0) }
    #expect(taken == [false, true, false, true])
    #expect(loop.left == 0)
    loop.give(limit)
    #expect(loop.left == limit)
  }
}
