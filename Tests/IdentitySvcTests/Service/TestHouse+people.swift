import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

extension TestHouse {
  static let password = "correct horse"

  /// What the Edge sends of its own.
  func edge(address: String = "203.0.113.9") async throws -> CallOptions {
    let answer = try await access.issueServicePrincipal(
      IssueServicePrincipalRequest(service: "edge", secret: Self.edgeSecret))
    return CallOptions(metadata: [
      Principal.metadataKey: answer.message.principal, Caller.addressKey: address,
      Caller.requestIDKey: "request-1",
    ])
  }

  /// What the Edge sends for whoever has this access token or key.
  func acting(_ credential: ExchangeCredentialRequest.Credential) async throws -> CallOptions {
    let exchanged = try await exchange(credential)
    return CallOptions(metadata: [
      Principal.metadataKey: exchanged.principal, Caller.addressKey: "203.0.113.9",
      Caller.requestIDKey: "request-2",
    ])
  }

  func acting(as person: Person) async throws -> CallOptions { try await acting(.accessToken(person.token)) }

  func exchange(_ credential: ExchangeCredentialRequest.Credential) async throws -> ExchangeCredentialResponse
  {
    try await access.exchangeCredential(
      ExchangeCredentialRequest(credential: credential), options: try await edge()
    ).message
  }

  /// Somebody who is signed in.
  struct Person: Sendable {
    var email: String
    var token: String
    var refreshToken: String
    var tenant: UUID
    var account: UUID
  }

  /// A business that has signed up, by its owner.
  func register(_ name: String = "Corner shop", email: String = "owner@example.com") async throws -> Person {
    let answer = try await identity.register(
      RegisterRequest(email: email, password: Self.password, name: name), options: try await edge()
    ).message
    return try await person(
      email, token: answer.token, refreshToken: answer.refreshToken, tenant: answer.studio?.id ?? "")
  }

  func login(_ email: String = "owner@example.com", password: String = password, tenant: String? = nil)
    async throws
    -> Person
  {
    let answer = try await identity.login(
      LoginRequest(email: email, password: password, tenant: tenant), options: try await edge()
    ).message
    return try await person(
      email, token: answer.token, refreshToken: answer.refreshToken, tenant: answer.studio?.id ?? "")
  }

  private func person(_ email: String, token: String, refreshToken: String, tenant: String) async throws
    -> Person
  {
    let claims = try await tokens.verify(token)
    return Person(
      email: email, token: token, refreshToken: refreshToken, tenant: UUID(tenant) ?? .noTenant,
      account: claims.account)
  }

  /// Somebody who was invited by a person and came.
  func invite(_ email: String, as role: Role, by person: Person) async throws -> Person {
    let options = try await acting(as: person)
    let invitation = try await identity.createInvitation(
      CreateInvitationRequest(email: email, role: role), options: options
    ).message
    let answer = try await identity.acceptInvitation(
      AcceptInvitationRequest(token: invitation.token, password: Self.password, name: "Guest"),
      options: try await edge()
    ).message
    return try await self.person(
      email, token: answer.token, refreshToken: answer.refreshToken, tenant: answer.studio?.id ?? "")
  }

  /// What the log of a tenant tells, the newest first.
  func audit(of tenant: UUID) async throws -> [String] {
    try await superuser.execute(ListActions(tenant: tenant), tenant: nil)
  }
}

private struct ListActions: Statement {
  static let name = "ListActions"
  static let sql =
    "SELECT action FROM identity.audit_events WHERE tenant_id = $1 ORDER BY event_id DESC, at DESC"
  var tenant: UUID
  func bind(into bindings: inout Bindings) { bindings.append(tenant) }
  static func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
