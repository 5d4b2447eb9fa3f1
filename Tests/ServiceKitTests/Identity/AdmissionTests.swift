import MainstreetAPI
import NIOCore
import NIOPosix
import Postgres
import RPC
import Testing

@testable import ServiceKit

@Suite("A call is admitted") struct AdmissionTests {
  private let signer = PrincipalSigner(keyID: "key")
  private let admission: Admission

  init() throws {
    let verifier = PrincipalVerifier()
    try verifier.use([signer.verificationKey])
    admission = Admission(verifier: verifier)
  }

  private func principal(_ subject: String, roles: [String] = [], scopes: [String] = []) throws -> String {
    try signer.sign(
      PrincipalClaims(
        tenantId: tenant, subject: subject, roles: roles, scopes: scopes,
        expiresAt: Timestamp(seconds: unixSeconds() + 60)))
  }

  /// Why not, or nil.
  @discardableResult
  private func refusal(_ principal: String?, _ access: Access, context: CallContext? = nil) -> RPCError? {
    let context = context ?? call(principal)
    let method = MethodDefinition(name: "CreateStore", access: access, handler: .unary { bytes, _ in bytes })
    do throws(RPCError) {
      try admission.admit(context, method)
      return nil
    } catch { return error }
  }

  private func call(_ principal: String?) -> CallContext {
    CallContext(
      method: "/a/CreateStore", metadata: principal.map { [Principal.metadataKey: $0] } ?? [:], deadline: nil,
      eventLoop: MultiThreadedEventLoopGroup.singleton.any(), peer: nil)
  }

  private static let access = Access.roles(["owner", "staff"], scopes: ["stores.write", "stores.all"])

  @Test("when a person has one of the roles, or a key one of the scopes")
  func admitted() throws {
    #expect(refusal(try principal("account:1", roles: ["viewer", "staff"]), Self.access) == nil)
    #expect(refusal(try principal("key:1", scopes: ["other", "stores.all"]), Self.access) == nil)
    #expect(refusal(try principal("key:1", scopes: ["*"]), Self.access) == nil)
  }

  @Test("and tells its handler who calls")
  func identified() throws {
    let context = call(try principal("account:1", roles: ["owner"]))
    refusal(nil, Self.access, context: context)
    #expect(try context.principal.subject == "account:1")
    #expect(try context.principal.actingTenant().description == tenant)
  }

  @Test("not without a principal")
  func anonymous() {
    let error = refusal(nil, Self.access)
    #expect(error?.code == .unauthenticated)
  }

  @Test("not with a principal that lacks what is needed, which the refusal names")
  func denied() throws {
    for lacking in [
      try principal("account:1", roles: ["viewer"]), try principal("account:1"),
      try principal("key:1", scopes: ["stores.read"]), try principal("key:1"),
    ] {
      let error = refusal(lacking, Self.access)
      #expect(error?.code == .permissionDenied && error?.reason == "PERMISSION_DENIED")
      #expect(
        error?.message
          == "CreateStore needs one of the roles owner, staff, or an API key with one of the scopes stores.write, stores.all"
      )
      #expect(error?.details == ["roles": "owner,staff", "scopes": "stores.write,stores.all"])
    }
  }

  @Test("not for a scope that a person has, nor for a role that a key is given as a scope")
  func kinds() throws {
    #expect(refusal(try principal("account:1", scopes: ["*"]), Self.access)?.code == .permissionDenied)
    #expect(refusal(try principal("key:1", scopes: ["owner"]), Self.access)?.code == .permissionDenied)
  }

  @Test("not of a key where no scopes are listed, whatever it may do elsewhere")
  func closedToKeys() throws {
    let error = refusal(try principal("key:1", scopes: ["*"]), .roles(["owner"], scopes: []))
    #expect(error?.message == "CreateStore needs one of the roles owner")
    #expect(error?.details == ["roles": "owner"])
  }

  @Test("of any key where the listed scope is *")
  func anyKey() throws {
    let access = Access.roles(["owner"], scopes: ["*"])
    #expect(refusal(try principal("key:1"), access) == nil)
    #expect(refusal(try principal("account:1", roles: ["viewer"]), access)?.code == .permissionDenied)
  }

  @Test("of nobody where neither roles nor scopes are listed")
  func denyByDefault() throws {
    let everything = try principal("key:1", roles: ["owner", "platform_admin", "service"], scopes: ["*"])
    #expect(refusal(everything, .roles([], scopes: []))?.code == .permissionDenied)
  }

  @Test("of everyone where the method is public, but not with a principal that does not count")
  func open() throws {
    #expect(refusal(nil, .public) == nil)
    let context = call(try principal("service:edge", roles: ["service"]))
    #expect(refusal(nil, .public, context: context) == nil)
    #expect(try context.principal.subject == "service:edge")
    #expect(refusal("v1.key.x.y", .public)?.code == .unauthenticated)
    let anonymous = call(nil)
    #expect(refusal(nil, .public, context: anonymous) == nil)
    let error = #expect(throws: RPCError.self) { try anonymous.principal }
    #expect(error?.code == .unauthenticated)
  }

  @Test("and acts in no tenant when its principal names none")
  func noTenant() throws {
    let claims = PrincipalClaims(
      subject: "account:1", roles: ["platform_admin"], expiresAt: Timestamp(seconds: unixSeconds() + 60))
    let context = call(try signer.sign(claims))
    #expect(refusal(nil, .roles(["platform_admin"], scopes: []), context: context) == nil)
    let error = #expect(throws: RPCError.self) { try context.principal.actingTenant() }
    #expect(error?.code == .permissionDenied)
  }
}
