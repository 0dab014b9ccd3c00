/** The versions that the program tells: its own, and the one that tools around Singularity look for. */

export const version = '0.1.0'

/**
 * What programs that parse `singularity version X.Y.Z` get: the release whose command line is followed, and
 * ours.
 */
export const singularityVersion = `4.3.0-sing.${version}`
