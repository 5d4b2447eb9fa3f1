/// What gRPC calls the connectivity of a subchannel or of a whole channel (connectivity-semantics-and-api.md).
package enum Connectivity: Sendable, Hashable, CaseIterable {
  case idle, connecting, ready, transientFailure
}

/// Where calls go, given what the subchannels are. Holds no subchannel and does nothing: addresses and states in,
/// a decision out.
protocol BalancingPolicy {
  /// `isWanted`: there are calls to be made, now or just before.
  mutating func decide(_ subchannels: [(address: RPCAddress, state: Connectivity)], isWanted: Bool)
    -> BalancingDecision
}

extension RPCClient.Configuration.Balancing {
  /// A policy that knows nothing yet.
  var policy: any BalancingPolicy {
    switch self {
    case .pickFirst: PickFirst()
    case .roundRobin: RoundRobin()
    }
  }
}

/// Subchannels are named by their position.
struct BalancingDecision: Equatable {
  /// Of the channel as a whole. In transient failure it fails calls that do not wait for ready.
  var connectivity: Connectivity
  /// Those that take calls, in turn.
  var rotation: [Int] = []
  /// Those that should connect now. All of them are idle.
  var connect: [Int] = []
}

/// All calls go to the first address that can be connected to, until its connection is lost. Then the addresses are
/// tried anew, from the first, when there is a call to be made.
///
/// One connection attempt at a time: an address that answers slowly is worth less here than a rule that is easy to
/// follow.
struct PickFirst: BalancingPolicy {
  private var current: RPCAddress?
  /// Addresses that failed since there last was a connection.
  private var failed: Set<RPCAddress> = []

  mutating func decide(
    _ subchannels: [(address: RPCAddress, state: Connectivity)], isWanted: Bool
  ) -> BalancingDecision {
    let ready = subchannels.indices.filter { subchannels[$0].state == .ready }
    if let chosen = ready.first(where: { subchannels[$0].address == current }) ?? ready.first {
      current = subchannels[chosen].address
      failed.removeAll()
      return BalancingDecision(connectivity: .ready, rotation: [chosen])
    }
    current = nil
    failed.formIntersection(subchannels.map(\.address))
    for (address, state) in subchannels where state == .transientFailure { failed.insert(address) }
    let hasAllFailed = subchannels.allSatisfy { failed.contains($0.address) }
    // Having failed with all it goes on by itself, so that calls find out when a server is back without one of them
    // being spent on it (gRFC A62).
    let isConnecting = subchannels.contains { $0.state == .connecting }
    guard isWanted || isConnecting || !failed.isEmpty else { return BalancingDecision(connectivity: .idle) }
    var decision = BalancingDecision(connectivity: hasAllFailed ? .transientFailure : .connecting)
    if !isConnecting {
      // One that failed waits its turn: it is tried again when the others have failed as well.
      let idle = subchannels.indices.filter { subchannels[$0].state == .idle }
      let next = idle.first { !failed.contains(subchannels[$0].address) } ?? idle.first
      decision.connect = next.map { [$0] } ?? []
    }
    return decision
  }
}

/// Calls go to all addresses that have a connection, in turn. All are kept connected.
struct RoundRobin: BalancingPolicy {
  /// Addresses that failed since they last had a connection. Such a one does not count as connecting while it tries
  /// again, or calls would wait for every attempt to connect to servers that are gone.
  private var failed: Set<RPCAddress> = []

  mutating func decide(
    _ subchannels: [(address: RPCAddress, state: Connectivity)], isWanted: Bool
  ) -> BalancingDecision {
    failed.formIntersection(subchannels.map(\.address))
    for (address, state) in subchannels {
      switch state {
      case .ready: failed.remove(address)
      case .transientFailure: failed.insert(address)
      case .idle, .connecting: break
      }
    }
    let rotation = subchannels.indices.filter { subchannels[$0].state == .ready }
    let hasAllFailed = subchannels.allSatisfy { failed.contains($0.address) }
    return BalancingDecision(
      connectivity: rotation.isEmpty ? (hasAllFailed ? .transientFailure : .connecting) : .ready,
      rotation: rotation, connect: subchannels.indices.filter { subchannels[$0].state == .idle })
  }
}
