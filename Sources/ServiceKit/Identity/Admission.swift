package import RPC

/// Decides, before any handler runs, whether a caller may call a method: deny by default.
package struct Admission: Sendable {
  /// Whether the unsigned development principal is believed.
  private let trustsDevelopmentPrincipal: Bool

  package init(trustsDevelopmentPrincipal: Bool) {
    self.trustsDevelopmentPrincipal = trustsDevelopmentPrincipal
  }

  /// - Throws: UNAUTHENTICATED without a principal that counts, PERMISSION_DENIED with one whose roles
  ///   the method does not list.
  package func admit(_ context: CallContext, _ method: MethodDefinition) throws(RPCError) {
    guard case .roles(let allowed, _) = method.access else { return }
    guard trustsDevelopmentPrincipal else {
      throw RPCError(
        .unauthenticated, "this service does not accept development principals", reason: "UNAUTHENTICATED")
    }
    let principal = try Principal(context)
    guard principal.roles.contains(where: allowed.contains) else {
      throw RPCError(
        .permissionDenied, "\(method.name) needs one of the roles \(allowed.joined(separator: ", "))",
        reason: "PERMISSION_DENIED")
    }
  }
}
