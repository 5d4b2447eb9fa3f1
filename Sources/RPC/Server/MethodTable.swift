#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A method with its full path, its limits and its place among the counters.
final class ServedMethod: Sendable {
  let path: String
  let definition: MethodDefinition
  let limits: CallLimits
  let index: Int

  init(path: String, definition: MethodDefinition, limits: CallLimits, index: Int) {
    self.path = path
    self.definition = definition
    self.limits = limits
    self.index = index
  }
}

/// Finds a method by the bytes of its path, without making a `String` of them: an open-addressing hash table
/// that is built once and never more than half full.
struct MethodTable: Sendable {
  private struct Slot: Sendable {
    let hash: UInt64
    let path: [UInt8]
    let method: ServedMethod
  }

  /// By `ServedMethod.index`.
  let methods: [ServedMethod]
  private var slots: [Slot?]
  private let mask: Int

  init(
    _ services: [ServiceDefinition], configuration: RPCServer.Configuration,
    interceptors: [ServerInterceptor] = []
  ) {
    let named = services.flatMap { service in
      service.methods.map { (name: "\(service.name)/\($0.name)", definition: $0) }
    }
    let unknown = Set(configuration.methods.keys).subtracting(named.map(\.name))
    precondition(unknown.isEmpty, "limits are set for methods that are not there: \(unknown.sorted())")
    methods = named.enumerated().map { index, method in
      ServedMethod(
        path: "/\(method.name)", definition: method.definition.intercepted(by: interceptors),
        limits: CallLimits(configuration.methods[method.name], method.definition, of: configuration),
        index: index)
    }
    var capacity = 4
    while capacity < methods.count * 2 { capacity *= 2 }
    mask = capacity - 1
    slots = Array(repeating: nil, count: capacity)
    for method in methods { insert(method) }
  }

  private mutating func insert(_ method: ServedMethod) {
    let path = Array(method.path.utf8)
    let hash = path.withUnsafeBytes(Self.hash)
    var index = Int(truncatingIfNeeded: hash) & mask
    while let slot = slots[index] {
      precondition(slot.path != path, "two methods are called \(method.path)")
      index = (index + 1) & mask
    }
    slots[index] = Slot(hash: hash, path: path, method: method)
  }

  func find(_ path: UnsafeRawBufferPointer) -> ServedMethod? {
    let hash = Self.hash(path)
    var index = Int(truncatingIfNeeded: hash) & mask
    while let slot = slots[index] {
      if slot.hash == hash, slot.path.count == path.count,
        let address = path.baseAddress, memcmp(slot.path, address, path.count) == 0
      {
        return slot.method
      }
      index = (index + 1) & mask
    }
    return nil
  }

  /// Eight bytes at a time, multiplied and folded. The table is fixed, so there is nothing for an attacker to
  /// collide with and no seed is needed.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash = UInt64(bytes.count)
    var offset = 0
    func mix(_ word: UInt64) {
      let product = (hash ^ word).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
      hash = product.high ^ product.low
    }
    while offset + 8 <= bytes.count {
      mix(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    var rest: UInt64 = 0
    for byte in bytes[offset...] { rest = rest << 8 | UInt64(byte) }
    mix(rest)
    return hash
  }
}
