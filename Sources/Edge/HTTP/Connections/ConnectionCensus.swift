import NIOCore
import Synchronization

/// How many connections there are, altogether and of each address.
final class ConnectionCensus: Sendable {
  private struct State {
    var count = 0
    var ofAddress: [PeerNetwork: Int] = [:]
  }

  private let limit: Int
  private let limitOfAddress: Int
  private let state = Mutex(State())

  init(limit: Int, limitOfAddress: Int) {
    self.limit = limit
    self.limitOfAddress = limitOfAddress
  }

  var count: Int { state.withLock { $0.count } }

  /// Counts a connection that has come; nil when it is welcome.
  func admit(_ address: PeerNetwork?) -> HTTPRefusal? {
    state.withLock { state in
      guard state.count < limit else { return .tooManyConnections }
      if let address {
        guard state.ofAddress[address, default: 0] < limitOfAddress else {
          return .tooManyConnectionsOfAddress
        }
        state.ofAddress[address, default: 0] += 1
      }
      state.count += 1
      return nil
    }
  }

  /// One that was welcome has gone.
  func leave(_ address: PeerNetwork?) {
    state.withLock { state in
      state.count -= 1
      guard let address, let count = state.ofAddress[address] else { return }
      state.ofAddress[address] = count > 1 ? count - 1 : nil
    }
  }
}

/// What of an address stands for one client: all of an IPv4 one, the first 64 bits of an IPv6 one, of which a subscriber has
/// all the others.
struct PeerNetwork: Hashable, Sendable {
  private let high: UInt64
  private let low: UInt32

  /// Nil for sockets that have none, such as those of the file system.
  init?(_ address: SocketAddress?) {
    // Where the systems we run on keep it: behind family and port, in IPv6 also the flow label.
    switch address {
    case .v4(let address):
      high = .max
      low = withUnsafeBytes(of: address.address) { $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self) }
    case .v6(let address):
      (high, low) = withUnsafeBytes(of: address.address) { bytes in
        let high = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        let middle = bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
        // ::ffff:a.b.c.d is the IPv4 address to a socket that takes both.
        let isMapped = high == 0 && middle == UInt32(0xFFFF).bigEndian
        return isMapped ? (.max, bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self)) : (high, 0)
      }
    default: return nil
    }
  }
}
