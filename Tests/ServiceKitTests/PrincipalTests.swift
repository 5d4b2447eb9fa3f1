import Testing

@testable import ServiceKit

@Suite struct PrincipalTests {
  private static let tenant = "0190a0a0-0000-7000-8000-000000000001"

  @Test("A development principal reads back what was written")
  func roundTrip() {
    let principal = Principal(tenant: Self.tenant, subject: "demo", roles: ["owner", "viewer"])
    #expect(Principal(principal.text) == principal)
  }

  @Test(
    "What is not exactly a development principal is refused",
    arguments: [
      "", "v0", "v1;tenant=\(tenant);subject=a;roles=owner", "v0;tenant=\(tenant);subject=a",
      "v0;tenant=\(tenant);subject=a;roles=", "v0;tenant=x;subject=a;roles=owner",
      "v0;tenant=\(tenant);tenant=\(tenant);subject=a;roles=owner",
      "v0;tenant=\(tenant);subject=a;roles=owner;admin=yes",
      "v0;tenant=\(tenant.uppercased());subject=a;roles=owner",
    ])
  func refused(text: String) {
    #expect(Principal(text) == nil)
  }
}
