@testable import IdentitySvc

/// The services, as files that import the generated protocols of the same names can call them.
typealias IdentityRpcs = IdentityService
typealias AccessRpcs = AccessService
