import NIOHTTP1
import Synchronization

/// What a request is called in logs and problems, here and in the services.
enum RequestID {
  /// The caller's own id if it is one to put into a log line, else a new one.
  static func of(_ headers: HTTPHeaders) -> String {
    if let inbound = headers.first(name: "x-request-id"), isSane(inbound) { return inbound }
    return make()
  }

  /// Unique among all Edges: random for the process, counted within it.
  static func make() -> String {
    process + String(counter.add(1, ordering: .relaxed).newValue, radix: 36)
  }

  private static let process = String(UInt64.random(in: .min ... .max), radix: 36) + "-"
  private static let counter = Atomic<UInt64>(0)

  private static func isSane(_ id: String) -> Bool {
    (1...128).contains(id.utf8.count)
      && id.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
