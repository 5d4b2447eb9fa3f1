import Postgres
import RPC
import ServiceKit

/// Who calls, from where and in which request, as the audit log tells it.
struct Caller: Sendable {
  /// Nil for a call that is open to everyone and came without one.
  let principal: Principal?
  /// Where the client of the platform called from; empty when nobody who is to be believed said so.
  let address: String
  let requestID: String

  static let addressKey = "mainstreet-client-address"
  static let requestIDKey = "x-request-id"
  private static let maxAddressBytes = 64
  private static let maxRequestIDBytes = 128

  /// The address is believed of whoever has a principal: those are signed for programs of the platform and never leave
  /// it. Anybody else could say anything, and escape the lock on an address by it.
  init(_ context: CallContext) {
    principal = try? context.principal
    let told = context.metadata[Self.addressKey] ?? ""
    address = principal == nil || told.utf8.count > Self.maxAddressBytes ? "" : told
    let id = context.metadata[Self.requestIDKey] ?? ""
    requestID = id.utf8.count > Self.maxRequestIDBytes ? "" : id
  }

  /// A command, run by whoever may log in where the service runs.
  init(command: String) {
    principal = nil
    address = ""
    requestID = ""
    self.command = command
  }

  private var command: String?

  /// `account:<uuid>`, `key:<uuid>`, `service:<name>`, `command:<name>` or `anonymous`. Programs that pass on calls which
  /// are open to everyone do not act themselves.
  var actor: String {
    if let command { return "command:\(command)" }
    guard let principal, !isService else { return "anonymous" }
    return principal.subject
  }

  var isService: Bool { principal?.roles.contains("service") ?? false }
  var isPlatformAdmin: Bool { principal?.roles.contains("platform_admin") ?? false }

  /// The account of a person; nil for keys and services.
  var account: UUID? { id(after: "account:") }
  var key: UUID? { id(after: "key:") }

  private func id(after kind: String) -> UUID? {
    guard let subject = principal?.subject, subject.hasPrefix(kind) else { return nil }
    return UUID(subject.dropFirst(kind.count))
  }
}
