package import MainstreetAPI

/// The unsigned form `v0;tenant=<uuid>;subject=<text>;roles=<role>,<role>`, which a program believes only when it is told
/// to. It goes once everything that calls has a principal of identity's.
extension Principal {
  package convenience init?(development text: String) {
    let fields = text.split(separator: ";", omittingEmptySubsequences: false)
    guard fields.count == 4, fields[0] == "v0", fields[1].hasPrefix("tenant="),
      fields[2].hasPrefix("subject="), fields[3].hasPrefix("roles=")
    else { return nil }
    self.init(
      PrincipalClaims(
        tenantId: String(fields[1].dropFirst(7)), subject: String(fields[2].dropFirst(8)),
        roles: fields[3].dropFirst(6).split(separator: ",").map(String.init),
        expiresAt: Timestamp(seconds: .max)))
    guard tenantID != nil, !roles.isEmpty else { return nil }
  }
}
