package import RPC

/// Who a call acts for. The tenant of every statement comes from here and from nowhere else.
///
/// Travels in the request metadata `mainstreet-principal`. The only form so far is the unsigned
/// development principal `v0;tenant=<uuid>;subject=<text>;roles=<role>,<role>`, which a service
/// believes only when its configuration says so.
package struct Principal: Sendable, Hashable {
  package static let metadataKey = "mainstreet-principal"

  /// The tenant's UUID, as text.
  package let tenant: String
  package let subject: String
  package let roles: [String]

  package init(tenant: String, subject: String, roles: [String]) {
    self.tenant = tenant
    self.subject = subject
    self.roles = roles
  }

  /// Parses the development form.
  package init?(_ text: String) {
    var fields = text.split(separator: ";" as Character, omittingEmptySubsequences: false)[...]
    guard fields.popFirst() == "v0" else { return nil }
    var tenant: String?
    var subject: String?
    var roles: [String]?
    for field in fields {
      let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, !pair[1].isEmpty else { return nil }
      switch pair[0] {
      case "tenant" where tenant == nil: tenant = String(pair[1])
      case "subject" where subject == nil: subject = String(pair[1])
      case "roles" where roles == nil: roles = pair[1].split(separator: ",").map(String.init)
      default: return nil
      }
    }
    guard let tenant, Self.isUUID(tenant), let subject, let roles, !roles.isEmpty else { return nil }
    self.init(tenant: tenant, subject: subject, roles: roles)
  }

  /// The form that `init(_:)` reads.
  package var text: String {
    "v0;tenant=\(tenant);subject=\(subject);roles=\(roles.joined(separator: ","))"
  }

  /// The principal of a call that was admitted by `Admission`.
  /// - Throws: UNAUTHENTICATED when there is none or it does not parse.
  package init(_ context: CallContext) throws(RPCError) {
    guard let text = context.metadata[Self.metadataKey] else {
      throw RPCError(.unauthenticated, "this call needs a principal", reason: "UNAUTHENTICATED")
    }
    guard let principal = Principal(text) else {
      throw RPCError(.unauthenticated, "the principal cannot be read", reason: "UNAUTHENTICATED")
    }
    self = principal
  }

  private static func isUUID(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count == 36 else { return false }
    return bytes.enumerated().allSatisfy { index, byte in
      switch index {
      case 8, 13, 18, 23: byte == UInt8(ascii: "-")
      default: (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
      }
    }
  }
}
