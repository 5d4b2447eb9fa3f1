package import RPC

/// Decides, before any handler runs, whether a caller may call a method: deny by default.
package struct Admission: Sendable {
  private let verifier: PrincipalVerifier

  package init(verifier: PrincipalVerifier) {
    self.verifier = verifier
  }

  /// A principal that is sent must count even where none is needed: who sends one means to be heard as that.
  /// - Throws: UNAUTHENTICATED without a principal that counts, PERMISSION_DENIED with one that may not do this.
  package func admit(_ context: CallContext, _ method: MethodDefinition) throws(RPCError) {
    guard let text = context.metadata[Principal.metadataKey] else {
      guard case .public = method.access else { throw .principalNeeded }
      return
    }
    let principal = try verifier.verify(text)
    if let denial = method.access.denial(of: method.name, to: principal) { throw denial }
    context.identify(caller: principal)
  }
}

extension Access {
  /// Why the principal may not call a method with this access; nil when it may.
  ///
  /// Roles are what people and services have, scopes what keys have: a method that lists no scopes is closed to keys.
  /// `*` among the scopes of a key is any that is listed, and among those of a method any key at all.
  package func denial(of method: String, to principal: Principal) -> RPCError? {
    guard case .roles(let roles, let scopes) = self else { return nil }
    if principal.roles.contains(where: roles.contains) { return nil }
    if !scopes.isEmpty, principal.isKey,
      scopes.contains("*") || principal.scopes.contains(where: { $0 == "*" || scopes.contains($0) })
    {
      return nil
    }
    let needs = [
      Self.list("one of the roles", roles), Self.list("an API key with one of the scopes", scopes),
    ]
    return RPCError(
      .permissionDenied, "\(method) needs \(needs.compactMap(\.self).joined(separator: ", or "))",
      reason: "PERMISSION_DENIED",
      details: ["roles": roles.joined(separator: ","), "scopes": scopes.joined(separator: ",")]
        .filter { !$1.isEmpty })
  }

  private static func list(_ what: String, _ names: [String]) -> String? {
    names.isEmpty ? nil : "\(what) \(names.joined(separator: ", "))"
  }
}

extension RPCError {
  /// Whether a call was refused for the principal that was sent with it. Who sent it has to see to that: it says nothing
  /// about what was asked.
  package var concernsPrincipal: Bool {
    code == .unauthenticated && reason.map(Self.principalReasons.contains) ?? false
  }

  private static let principalReasons: Set<String> = [
    "UNAUTHENTICATED", "MALFORMED_PRINCIPAL", "PRINCIPAL_NOT_SIGNED", "PRINCIPAL_EXPIRED", "UNKNOWN_KEY",
  ]
}
