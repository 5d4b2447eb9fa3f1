import Testing

@testable import RPC

@Suite("A balancing policy") struct BalancingPolicyTests {
  /// Servers `0`, `1`, … in these states.
  private func servers(_ states: [Connectivity]) -> [(address: RPCAddress, state: Connectivity)] {
    states.enumerated().map { (server($0.offset), $0.element) }
  }

  private func server(_ index: Int) -> RPCAddress { .tcp(host: "10.0.0.\(index)", port: 1) }

  // MARK: pick_first

  @Test("pick_first does nothing until there is a call")
  func pickFirstIdle() {
    var policy = PickFirst()
    let decision = policy.decide(servers([.idle, .idle]), isWanted: false)
    #expect(decision == .init(connectivity: .idle))
  }

  @Test("pick_first tries one address after the other and stays with the first that is ready")
  func pickFirstInOrder() {
    var policy = PickFirst()
    let steps: [([Connectivity], BalancingDecision)] = [
      ([.idle, .idle, .idle], .init(connectivity: .connecting, connect: [0])),
      ([.connecting, .idle, .idle], .init(connectivity: .connecting)),
      ([.transientFailure, .idle, .idle], .init(connectivity: .connecting, connect: [1])),
      ([.idle, .connecting, .idle], .init(connectivity: .connecting)),
      ([.idle, .ready, .idle], .init(connectivity: .ready, rotation: [1])),
      ([.ready, .ready, .idle], .init(connectivity: .ready, rotation: [1])),
    ]
    for (index, step) in steps.enumerated() {
      let decision = policy.decide(servers(step.0), isWanted: index == 0)
      #expect(decision == step.1, "step \(index)")
    }
  }

  @Test("pick_first fails when all addresses have, goes on trying, and fails until one is ready")
  func pickFirstFails() {
    var policy = PickFirst()
    _ = policy.decide(servers([.transientFailure, .idle]), isWanted: true)
    let steps: [([Connectivity], BalancingDecision)] = [
      ([.transientFailure, .transientFailure], .init(connectivity: .transientFailure)),
      ([.idle, .transientFailure], .init(connectivity: .transientFailure, connect: [0])),
      ([.connecting, .transientFailure], .init(connectivity: .transientFailure)),
      ([.connecting, .idle], .init(connectivity: .transientFailure)),
      ([.ready, .idle], .init(connectivity: .ready, rotation: [0])),
    ]
    for (index, step) in steps.enumerated() {
      let decision = policy.decide(servers(step.0), isWanted: false)
      #expect(decision == step.1, "step \(index)")
    }
  }

  @Test("pick_first fails although a slow address is tried while a fast one recovers from its failure")
  func pickFirstSlow() {
    var policy = PickFirst()
    _ = policy.decide(servers([.transientFailure, .connecting]), isWanted: true)
    let decision = policy.decide(servers([.idle, .transientFailure]), isWanted: true)
    #expect(decision == .init(connectivity: .transientFailure, connect: [0]))
  }

  @Test(
    "pick_first is idle when its connection is lost, and starts from the first address with the next call")
  func pickFirstLost() {
    var policy = PickFirst()
    _ = policy.decide(servers([.idle, .ready]), isWanted: true)
    let decision = policy.decide(servers([.idle, .idle]), isWanted: false)
    #expect(decision == .init(connectivity: .idle))
    let next = policy.decide(servers([.idle, .idle]), isWanted: true)
    #expect(next == .init(connectivity: .connecting, connect: [0]))
  }

  // MARK: round_robin

  @Test(
    "round_robin uses all that are ready and connects all that are idle",
    arguments: [
      ([.idle, .idle], .init(connectivity: .connecting, connect: [0, 1])),
      ([.connecting, .connecting], .init(connectivity: .connecting)),
      ([.connecting, .transientFailure], .init(connectivity: .connecting)),
      ([.ready, .connecting], .init(connectivity: .ready, rotation: [0])),
      ([.ready, .transientFailure, .ready], .init(connectivity: .ready, rotation: [0, 2])),
      ([.ready, .idle], .init(connectivity: .ready, rotation: [0], connect: [1])),
      ([.transientFailure, .transientFailure], .init(connectivity: .transientFailure)),
    ] as [([Connectivity], BalancingDecision)])
  func roundRobin(states: [Connectivity], decision: BalancingDecision) {
    var policy = RoundRobin()
    let decided = policy.decide(servers(states), isWanted: true)
    #expect(decided == decision)
  }

  @Test("round_robin that has failed fails while it connects again, until one is ready")
  func roundRobinFails() {
    var policy = RoundRobin()
    let steps: [([Connectivity], BalancingDecision)] = [
      ([.transientFailure, .connecting], .init(connectivity: .connecting)),
      ([.transientFailure, .transientFailure], .init(connectivity: .transientFailure)),
      ([.idle, .transientFailure], .init(connectivity: .transientFailure, connect: [0])),
      ([.connecting, .connecting], .init(connectivity: .transientFailure)),
      ([.connecting, .ready], .init(connectivity: .ready, rotation: [1])),
      ([.connecting, .idle], .init(connectivity: .connecting, connect: [1])),
    ]
    for (index, step) in steps.enumerated() {
      let decision = policy.decide(servers(step.0), isWanted: true)
      #expect(decision == step.1, "step \(index)")
    }
  }

  @Test("round_robin remembers what failed by its address, wherever it stands in the list")
  func roundRobinMoved() {
    var policy = RoundRobin()
    _ = policy.decide([(server(1), .transientFailure)], isWanted: true)
    let decision = policy.decide([(server(2), .transientFailure), (server(1), .connecting)], isWanted: true)
    #expect(decision.connectivity == .transientFailure)
  }

  @Test("forgets the failures of servers that are gone")
  func gone() {
    var roundRobin = RoundRobin()
    _ = roundRobin.decide(servers([.transientFailure, .transientFailure]), isWanted: true)
    _ = roundRobin.decide([(server(7), .connecting)], isWanted: true)
    let inTurn = roundRobin.decide(servers([.idle, .idle]), isWanted: true)
    #expect(inTurn == .init(connectivity: .connecting, connect: [0, 1]))
    var pickFirst = PickFirst()
    _ = pickFirst.decide(servers([.transientFailure, .transientFailure]), isWanted: true)
    _ = pickFirst.decide([(server(7), .connecting)], isWanted: true)
    let first = pickFirst.decide(servers([.idle, .idle]), isWanted: true)
    #expect(first == .init(connectivity: .connecting, connect: [0]))
  }
}
