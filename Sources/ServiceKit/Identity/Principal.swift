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

  /// Parses the development form. By bytes, for it is done at every call.
  package init?(_ text: String) {
    var rest = text[...].utf8
    guard let version = Self.next(&rest, upTo: ";"), version.elementsEqual("v0".utf8) else { return nil }
    var tenant: String?
    var subject: String?
    var roles: [String]?
    while var field = Self.next(&rest, upTo: ";") {
      guard let name = Self.next(&field, upTo: "="), !field.isEmpty else { return nil }
      if tenant == nil, name.elementsEqual("tenant".utf8) {
        guard Self.isUUID(field) else { return nil }
        tenant = String(Substring(field))
      } else if subject == nil, name.elementsEqual("subject".utf8) {
        subject = String(Substring(field))
      } else if roles == nil, name.elementsEqual("roles".utf8) {
        var names: [String] = []
        while let role = Self.next(&field, upTo: ",") { names.append(String(Substring(role))) }
        roles = names
      } else {
        return nil
      }
    }
    guard let tenant, let subject, let roles else { return nil }
    self.init(tenant: tenant, subject: subject, roles: roles)
  }

  /// Takes the bytes before the separator, or all there are; nothing when nothing is left.
  private static func next(
    _ rest: inout Substring.UTF8View, upTo separator: Unicode.Scalar
  ) -> Substring.UTF8View? {
    guard !rest.isEmpty else { return nil }
    let end = rest.firstIndex(of: UInt8(ascii: separator)) ?? rest.endIndex
    let part = rest[..<end]
    rest = end == rest.endIndex ? rest[end...] : rest[rest.index(after: end)...]
    return part
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

  private static func isUUID(_ text: Substring.UTF8View) -> Bool {
    var length = 0
    for byte in text {
      switch length {
      case 8, 13, 18, 23: guard byte == UInt8(ascii: "-") else { return false }
      default: guard (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) else { return false }
      }
      length += 1
    }
    return length == 36
  }
}
